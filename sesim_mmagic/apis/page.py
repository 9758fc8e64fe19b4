"""Behind the page to try models: pictures, models by name, similarity maps at a point."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.device import get_device

from sesim_mmagic.apis.feature_nets import (
    check_file,
    describe,
    feature_settings,
    naming_the_option,
)
from sesim_mmagic.apis.inference.inferencer import SeSimInferencer
from sesim_mmagic.apis.model_zoo import resolve_model
from sesim_mmagic.engine.map_figure import Cell, draw_maps
from sesim_mmagic.engine.pictures import to_model_range
from sesim_mmagic.losses import FSeSimLoss
from sesim_mmagic.translators.styles import draw_styles
from sesim_mmagic.utils.images import list_images, read_picture
from sesim_mmagic.utils.names import printable

# Maps are of pictures no larger: a click is to be answered within a second or two on a CPU.
_MAP_SIDE = 256


class Workshop:
    """Pictures and models that visitors can choose; arrays are (H, W, 3), BGR, uint8.

    Args:
        models (Sequence[str]): Checkpoints that hold their configs, as paths or names of the model
            index; each is loaded when first used, and three are kept.
        pictures (str | Path | None): Folder of pictures; None for uploads alone.
        feature_net (str): Features whose self-similarity is shown, see
            :func:`~sesim_mmagic.apis.feature_nets.feature_settings`; weights are read when first
            used.
        device (str | None): Where to compute; None for the accelerator if there is one.
        max_side (int): Pictures with a longer side are scaled down to it.
        max_image_pixels (int): Pictures of more pixels are not decoded.

    Raises:
        FileNotFoundError: A model, the folder or the file of weights does not exist.
        ValueError: A model is named twice, unknown or not the file that was released, or there is
            no picture.
    """

    def __init__(
        self,
        models: Sequence[str],
        pictures: str | Path | None,
        feature_net: str,
        device: str | None,
        max_side: int,
        max_image_pixels: int,
    ) -> None:
        settings = feature_settings(feature_net)
        check_file(settings['feature_net'], '--feature-net')
        #: What the maps are of, for people.
        self.features = describe(settings['feature_net'])
        self._loss = FSeSimLoss(**settings).eval()
        for path in map(resolve_model, models):  # of released ones, compares checksums
            if '://' not in path and not Path(path).expanduser().is_file():
                raise FileNotFoundError(f"Checkpoint '{path}' does not exist.")
        names = ['/'.join(Path(m).parts[-2:]) if Path(m).suffix else m for m in models]
        if len(set(names)) < len(names):  # folders of trainings may hold files of the same names
            names = list(models)
        #: Checkpoints by what a visitor sees.
        self.models = dict(zip(names, models, strict=True))
        if len(self.models) < len(models):
            raise ValueError(f'each model must be named once, got {list(models)}')
        #: Files by name, and which files of the folder are left out.
        self.pictures, self.note = {}, None
        if pictures is not None:
            listing = list_images(pictures)
            if not listing.files:
                raise ValueError(listing.nothing())
            self.pictures = dict(zip(map(printable, listing.names), listing.files, strict=True))
            self.note = listing.note()
        self.device = device or get_device()
        self.max_side, self.max_image_pixels = max_side, max_image_pixels
        #: The model of a name, a ``SeSimInferencer``.
        self.model = lru_cache(maxsize=3)(self._load)

    def _load(self, name: str) -> SeSimInferencer:
        return SeSimInferencer(self.models[name], device=self.device, show_progress=False)

    def read(self, name: str, data: bytes | None = None) -> np.ndarray:
        """One of ``pictures``, or an uploaded file of this name."""
        path = name if data is not None else self.pictures[name]
        picture = read_picture(path, data=data, max_pixels=self.max_image_pixels)
        return _fit_into(picture, self.max_side)

    def translate(
        self, name: str, picture: np.ndarray, target: str, style: int | np.ndarray
    ) -> np.ndarray:
        """Translate a picture with the model of this name.

        The style of a multi-modal model is that of a picture, or the one that
        ``tools/translate.py --styles`` gives a number from 1.
        """
        inferencer, styles = self.model(name), None
        if channels := inferencer.model.style_channels:
            if isinstance(style, np.ndarray):
                styles = inferencer.encode_style(style, target)[None]
            else:
                styles = draw_styles(style, channels, seed=0)[-1:]
        result = inferencer(picture, target_domain=target, styles=styles)
        if reason := result['predictions'][0]['reason']:
            raise ValueError(reason)
        (translation,) = result['visualization']
        return translation if styles is None else translation[0]

    @torch.no_grad()
    def similarity_maps(
        self, source: np.ndarray, translation: np.ndarray, point: tuple[float, float]
    ) -> np.ndarray:
        """Self-similarity of a point in both pictures, as each layer of FSeSim sees it.

        The point (x, y) is shares of width and height, from 0 to below 1. Returns a figure (H, W,
        3), RGB, uint8.

        Raises:
            FileNotFoundError: The weights of the features cannot be had.
            ValueError: They are those of another network, or a picture is too small.
        """
        with naming_the_option('--feature-net'):
            self._loss.init_weights()
        self._loss.to(self.device)
        maps = []
        for picture in (source, translation):
            image = torch.from_numpy(_fit_into(picture, _MAP_SIDE).transpose(2, 0, 1).copy())
            image = to_model_range(image, self._loss.channel_order).to(self.device)
            maps.append(self._loss.similarity_maps(image, [point]))
        cells = [Cell(pair[layer][0, 0].cpu().numpy(), point) for layer in maps[0] for pair in maps]
        return draw_maps([(layer, ['source', 'translation']) for layer in maps[0]], [('', cells)])


def _fit_into(picture: np.ndarray, side: int) -> np.ndarray:
    """Scale a picture down until no side is longer than ``side``; never up."""
    share = min(1, side / max(picture.shape[:2]))
    height, width = (max(1, round(share * length)) for length in picture.shape[:2])
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
