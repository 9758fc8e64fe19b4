"""Behind a page to try models: models by name, translations, similarity maps at a point."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from mmengine.device import get_device
from mmengine.model import BaseModel
from torch import Tensor, nn

from sesim_mmagic.apis.inference.inferencer import SeSimInferencer
from sesim_mmagic.apis.inference.loading import init_translator
from sesim_mmagic.apis.model_zoo import resolve_model
from sesim_mmagic.apis.page.pictures import Recent, fit_into
from sesim_mmagic.engine.map_figure import Cell, draw_maps
from sesim_mmagic.engine.pictures import to_model_range
from sesim_mmagic.networks.state_dicts import WeightsMissing
from sesim_mmagic.registry import MODELS

# Not at the first translation: threads that import MMagic at once see half of it.
from sesim_mmagic.translators.styles import draw_styles

_MAX_STYLE = 1000
# Of translations that are remembered.
_MAX_BYTES = 128_000_000
# VGG16 looks at no larger pictures: a click is to be answered within a second or two on a CPU.
_MAP_SIDE = 256


class Translators:
    """Models that a visitor can choose; each is loaded when first used.

    One call at a time uses a model, the others wait.

    Args:
        models (Sequence[str]): Checkpoints, each as a path or a name in the model index (see
            ``sesim_mmagic.apis.model_zoo``). They hold their configs.
        device (str, optional): Where to compute. Defaults to None: the accelerator if there is
            one.
        max_loaded (int): Models that are kept in memory. Defaults to 3.

    Raises:
        ValueError: If a model is named twice.
    """

    def __init__(
        self, models: Sequence[str], device: str | None = None, max_loaded: int = 3
    ) -> None:
        labels = [_label(model) for model in models]
        # Folders of trainings often hold files of the same names.
        unique = len(set(labels)) == len(labels)
        self.checkpoints = dict(zip(labels if unique else models, models, strict=True))
        if len(self.checkpoints) < len(models):
            raise ValueError(f'each model is to be named once, got {list(models)}')
        self.device = device or get_device()
        self._loaded = Recent(max_loaded)
        self._translations = Recent(16, _MAX_BYTES)
        self._lock = Lock()

    def names(self) -> list[str]:
        """Names of the models: of a path its last two parts, where they tell all models apart."""
        return list(self.checkpoints)

    def describe(self, name: str) -> dict[str, Any]:
        """What a visitor can choose of a model.

        Args:
            name (str): One of :meth:`names`.

        Returns:
            dict: ``targets``, the domains it translates into, the default first, and ``styles``,
            whether it is multi-modal.

        Raises:
            ValueError: If there is no such model, or it cannot be loaded.
            OSError: If its checkpoint is missing or cannot be downloaded.
        """
        with self._lock:
            model = self._model(name)
        return dict(targets=list(model.domains), styles=model.style_channels > 0)

    def translate(
        self, name: str, picture: np.ndarray, target: str | None = None, style: int = 1
    ) -> np.ndarray:
        """Translate a picture; the last ones are remembered.

        Args:
            name (str): One of :meth:`names`.
            picture (np.ndarray): (H, W, 3), BGR, uint8.
            target (str, optional): Domain. Defaults to None: the model's default.
            style (int): Number of the style of a multi-modal model, from 1: the one that
                ``tools/translate.py --styles`` gives this number. Others ignore it.

        Returns:
            np.ndarray: (H, W, 3), BGR, uint8.

        Raises:
            ValueError: As :meth:`describe`, or there is no such domain or style.
            OSError: As :meth:`describe`.
        """
        if not 1 <= style <= _MAX_STYLE:
            raise ValueError(f'styles have numbers from 1 to {_MAX_STYLE}, got {style}')

        def made():
            if not model.style_channels:
                return SeSimInferencer(model)(picture, target_domain=target)['visualization'][0]
            styles = draw_styles(style, model.style_channels, seed=0)[-1:]
            found = SeSimInferencer(model)(picture, target_domain=target, styles=styles)
            return found['visualization'][0][0]

        digest = hashlib.sha256(np.ascontiguousarray(picture)).digest()
        with self._lock:
            model = self._model(name)
            key = name, digest, picture.shape, target, style
            return self._translations.use(key, made)

    def _model(self, name: str) -> BaseModel:
        if name not in self.checkpoints:
            raise ValueError(f"there is no model '{name}': choose one of {self.names()}")
        return self._loaded.use(name, lambda: self._load(self.checkpoints[name]))

    def _load(self, checkpoint: str) -> BaseModel:
        return init_translator(None, resolve_model(checkpoint), self.device)


def _label(model: str) -> str:
    path = Path(model)
    return '/'.join(path.parts[-2:]) if path.suffix else model


class PointMaps:
    """Self-similarity of a point of two pictures, as FSeSim sees it.

    Args:
        feature_net (str): Weights of VGG16: 'torchvision' (downloaded when first used), a path,
            or 'random' (seed 0).
        device (str, optional): Where to compute. Defaults to None: the accelerator if there is
            one.
    """

    def __init__(self, feature_net: str = 'torchvision', device: str | None = None) -> None:
        weights = dict(pretrained=feature_net)
        if feature_net == 'random':
            weights = dict(pretrained=None, seed=0)
        #: What looks at the pictures, for a note.
        self.network = f'VGG16, weights: {Path(feature_net).name}'
        self.device = device or get_device()
        net = dict(type='sesim_mmagic.VGG16Features', **weights)
        self._settings = dict(type='sesim_mmagic.FSeSimLoss', feature_net=net)
        self._loss = None
        self._lock = Lock()

    @torch.no_grad()
    def draw(
        self, source: np.ndarray, translation: np.ndarray, point: tuple[float, float]
    ) -> dict[str, np.ndarray]:
        """Draw the maps of both pictures side by side, one figure a layer.

        Args:
            source (np.ndarray): (H, W, 3), BGR, uint8; looked at with a longest side of at most
                256 pixels.
            translation (np.ndarray): Likewise.
            point (tuple[float, float]): (x, y) as shares of width and height, from 0 to below 1.

        Returns:
            dict[str, np.ndarray]: By layer a figure (H, W, 3), RGB, uint8.

        Raises:
            ValueError: If the point lies outside, or the pictures are too small.
            OSError: If the weights are missing or cannot be downloaded.
        """
        with self._lock:
            loss = self._ready()
            maps = [loss.similarity_maps(self._look(p), [point]) for p in (source, translation)]
        figures = {}
        for layer, *pair in zip(loss.feature_net.layers, *maps, strict=True):
            cells = [Cell(values[0, 0].cpu().numpy(), point) for values in pair]
            figures[layer] = draw_maps([(layer, ['source', 'translation'])], [('', cells)])
        return figures

    def _ready(self) -> nn.Module:
        if self._loss is None:
            loss = MODELS.build(self._settings)
            try:
                loss.init_weights()
            except WeightsMissing as error:
                raise FileNotFoundError(
                    f'{error.problem} start the page with --feature-net PATH or random'
                ) from error
            self._loss = loss.to(self.device).eval()
        return self._loss

    def _look(self, picture: np.ndarray) -> Tensor:
        image = torch.from_numpy(fit_into(picture, _MAP_SIDE).transpose(2, 0, 1).copy())
        return to_model_range(image, self._loss.channel_order).to(self.device)
