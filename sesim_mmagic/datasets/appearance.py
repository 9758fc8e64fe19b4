"""A second view of a picture: other colours, the same structure at the same places."""

import math
from collections.abc import Sequence
from numbers import Real

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from PIL import Image
from torchvision.transforms import v2

from sesim_mmagic.registry import TRANSFORMS

BLUR_SIGMAS = 0.1, 2.0  # SimCLR (Chen et al., ICML 2020), MoCo v2
SOLARISE_FROM = 128  # BYOL (Grill et al., NeurIPS 2020)


@TRANSFORMS.register_module()
class AppearanceView(BaseTransform):
    """Add a view of each picture that differs in appearance alone.

    View and picture show the same thing at every pixel: from such pairs a contrastive loss
    learns what structure is (LSeSim, Zheng et al., CVPR 2021, Sec. 3.2). Place it after the crops
    and flips, before ``PackDomains``. Every picture gets draws of its own, all from torch's CPU
    generator, so that crops and flips drawn before stay what they are without it.

    Strengths mean what they mean for torchvision's ``ColorJitter``: factors are uniform in
    [max(0, 1 - x), 1 + x], the shift of hue in [-hue, hue] of the circle, and the four are
    applied in random order. What else may happen is off unless it is given a probability, and
    happens in this order: ``colour_map``, the jitter, ``grayscale``, ``solarise``, ``blur``.

    Args:
        keys (Sequence[str]): Keys of pictures, e.g. ('img_A', 'img_B').
        brightness (float): Strength, 0 or more. Defaults to 0.5.
        contrast (float): Strength, 0 or more. Defaults to 0.5.
        saturation (float): Strength, 0 or more. Grey pictures have none. Defaults to 0.5.
        hue (float): Strength, 0 to 0.5. Grey pictures have none. Defaults to 0.3.
        grayscale (float): Probability that colours are dropped. Defaults to 0.
        blur (float): Probability of a Gaussian blur, deviation uniform in 0.1 to 2 pixels. It
            takes fine structure away with the appearance. Defaults to 0.
        solarise (float): Probability that values from 128 on are inverted, which leaves but
            outlines of drawings on white. Defaults to 0.
        colour_map (float): Probability of :func:`map_colours`, which, unlike the jitter,
            colours grey pictures too. Defaults to 0.

    Raises:
        ValueError: If ``keys`` is empty or a string, or a number is out of range.
    """

    def __init__(
        self,
        keys: Sequence[str],
        brightness: float = 0.5,
        contrast: float = 0.5,
        saturation: float = 0.5,
        hue: float = 0.3,
        grayscale: float = 0.0,
        blur: float = 0.0,
        solarise: float = 0.0,
        colour_map: float = 0.0,
    ) -> None:
        if isinstance(keys, str) or not keys:
            raise ValueError(
                f'AppearanceView: keys must be a list of at least one key of a picture, got '
                f"{keys!r}; set keys=['img_A', 'img_B']"
            )
        self.keys = tuple(keys)
        self.jitter = dict(brightness=brightness, contrast=contrast, saturation=saturation, hue=hue)
        self.probabilities = dict(
            grayscale=grayscale, blur=blur, solarise=solarise, colour_map=colour_map
        )
        for name, value in self.jitter.items():
            _check_range(name, value, 'a strength', 0.5 if name == 'hue' else math.inf)
        for name, value in self.probabilities.items():
            _check_range(name, value, 'a probability', 1)
        # On Pillow's pictures: faster than on uint8 tensors (one core, 256 x 256: 2.3 against
        # 2.7 ms). OpenCV's colour spaces and tables of our own would take 0.5 ms, but a worker
        # gives some 200 samples with two views a second as it is.
        self._recolour = v2.Compose(
            [
                v2.ColorJitter(**self.jitter),
                v2.RandomGrayscale(grayscale),
                v2.RandomSolarize(SOLARISE_FROM, solarise),
            ]
        )

    def transform(self, results: dict) -> dict:
        """Write ``{key}_aug`` for each key.

        Args:
            results (dict): With ``{key}``: arrays (H, W, 3), BGR, uint8; they stay as they are.

        Returns:
            dict: ``results`` with ``{key}_aug``: new contiguous arrays (H, W, 3), BGR, uint8, and
            ``{key}_aug_channel_order``: 'BGR'.

        Raises:
            KeyError: If a key is missing.
            ValueError: If a picture has another type, shape or channel order.
        """
        for key in self.keys:
            _check_picture(results, key)
            results[f'{key}_aug'] = self._view(results[key])
            results[f'{key}_aug_channel_order'] = 'BGR'
        return results

    def _view(self, picture: np.ndarray) -> np.ndarray:
        if self._happens('colour_map'):
            picture = map_colours(picture)
        picture = Image.fromarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
        picture = cv2.cvtColor(np.asarray(self._recolour(picture)), cv2.COLOR_RGB2BGR)
        if self._happens('blur'):
            # torchvision's blur differs by at most one level of 255 and takes some 20 ms.
            sigma = torch.empty(()).uniform_(*BLUR_SIGMAS).item()
            picture = cv2.GaussianBlur(picture, (0, 0), sigma)
        return picture

    def _happens(self, name: str) -> bool:
        return torch.rand(()).item() < self.probabilities[name]

    def __repr__(self) -> str:
        settings = {**self.jitter, **self.probabilities}
        arguments = ', '.join(f'{name}={value}' for name, value in settings.items())
        return f'{type(self).__name__}(keys={self.keys}, {arguments})'


def map_colours(picture: np.ndarray) -> np.ndarray:
    """Give each channel a random curve, and the channels a random order.

    A curve is a cubic Bézier polynomial from 0 to 255 or from 255 to 0 whose inner control values
    are uniform in between, as for intensities in Models Genesis (Zhou et al., MICCAI 2019). It
    never turns back: rising or falling, it keeps the edges of the channel.

    Args:
        picture (np.ndarray): Shape (H, W, 3), uint8.

    Returns:
        np.ndarray: Shape (H, W, 3), uint8, contiguous.
    """
    level = np.linspace(0, 1, 256)[:, None]
    first, second = torch.rand(2, 3).numpy()
    curves = 3 * level * (1 - level) * ((1 - level) * first + level * second) + level**3
    curves = np.where(torch.rand(3).numpy() < 0.5, curves[::-1], curves)
    mapped = cv2.LUT(picture, np.rint(255 * curves).astype(np.uint8)[None])
    planes = cv2.split(mapped)
    return cv2.merge([planes[channel] for channel in torch.randperm(3)])


def _check_range(name: str, value: float, kind: str, high: float) -> None:
    # Written so that nan, which compares false, is refused too.
    if isinstance(value, Real) and 0 <= value <= high and value < math.inf:
        return
    limits = '0 or more' if high == math.inf else f'from 0 to {high}'
    raise ValueError(
        f'AppearanceView: {name} is {kind} and must be a number, {limits}, got {value!r}; '
        f'set {name}=0 to leave it out'
    )


def _check_picture(results: dict, key: str) -> None:
    if key not in results:
        raise KeyError(
            f'AppearanceView: keys names {key!r}, which no transform before it has loaded; there '
            f'are {sorted(results)}; load it before, or take it out of keys'
        )
    picture = results[key]
    found = f'{getattr(picture, "dtype", type(picture).__name__)} {np.shape(picture)}'
    if getattr(picture, 'dtype', None) != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(
            f'AppearanceView: {key!r} must be an array (H, W, 3) of uint8, got {found}; place '
            'AppearanceView before transforms that scale values or pack pictures, and load colour'
        )
    order = results.get(f'{key}_channel_order', 'BGR')
    if order.upper() != 'BGR':
        raise ValueError(
            f"AppearanceView: {key!r} must be BGR, got {order}; load it with channel_order='bgr'"
        )
