"""One batch through a translator: pictures in, images out."""

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from mmagic.structures import DataSample
from mmengine.dataset import pseudo_collate
from torch import Tensor

from sesim_mmagic.networks.strips import StyledDecoder, can_run_in_strips, run_in_strips
from sesim_mmagic.translators import Translator
from sesim_mmagic.translators.styles import draw_styles


def collate(model: Translator, pictures: Sequence[np.ndarray], domain: str) -> dict:
    """A batch as the model takes it.

    Args:
        model (Translator): The model.
        pictures (Sequence[np.ndarray]): (H, W, 3), BGR, uint8, all of one size.
        domain (str): Where they are from.

    Returns:
        dict: ``inputs`` with the images, (B, 3, H, W), [-1, 1], ``data_samples``.
    """
    tensors = [torch.from_numpy(np.ascontiguousarray(p.transpose(2, 0, 1))) for p in pictures]
    packed = [dict(inputs={f'img_{domain}': t}, data_samples=DataSample()) for t in tensors]
    preprocessor = model.data_preprocessor
    # These samples hold no pictures of their own; MMagic warns of each that it does not find.
    keys, preprocessor.data_keys = preprocessor.data_keys, None
    try:
        return preprocessor(pseudo_collate(packed))
    finally:
        preprocessor.data_keys = keys


def translations(
    model: Translator,
    images: Tensor,
    target: str,
    styles: Tensor | None = None,
    strip_pixels: int | None = None,
) -> Iterator[Tensor]:
    """Translate images, large ones in strips where the generator can be computed so.

    Args:
        model (Translator): The model.
        images (Tensor): Shape (B, 3, H, W), values in [-1, 1].
        target (str): Domain to translate into.
        styles (Tensor, optional): Shape (N, style_channels), for a multi-modal model. Defaults to
            None: one translation; a multi-modal model draws its style with its ``seed``.
        strip_pixels (int, optional): Larger pictures are computed in strips of about so many pixels
            (see ``run_in_strips``). Defaults to None: never.

    Returns:
        Iterator[Tensor]: Shape (B, n, 3, H, W), values in [-1, 1], of the next n styles.
    """
    height, width = images.shape[2:]
    if strip_pixels is None or height * width <= strip_pixels:
        return model.translations(images, target, styles)
    decoder: Any = model.inference_generators[target]
    encoder, networks = None, [decoder]
    if model.style_channels:
        if styles is None:
            styles = draw_styles(1, model.style_channels, model.seed)
        encoder = model.content_encoder(target).content_encoder
        networks = [StyledDecoder(decoder, style[None]) for style in styles.to(images)]
    kinds = networks[:1] if encoder is None else [encoder, networks[0]]
    with model.inference_mode(decoder):  # a layer may depend on the mode
        in_strips = all(map(can_run_in_strips, kinds))
    if not in_strips:
        warnings.warn(
            f'{type(decoder).__name__} cannot be computed in strips: pictures are translated in '
            'one piece, and memory grows with their size.',
            stacklevel=2,
        )
        return model.translations(images, target, styles)
    # On the CPU: of the model's device no more memory is needed than for one strip.
    content, rows = model.pad(images).cpu(), max(64, strip_pixels // width)
    if encoder is not None:
        content = run_in_strips(encoder, content, rows)
    strips = (run_in_strips(network, content, rows) for network in networks)
    return (part[:, None, :, :height, :width].to(images.device) for part in strips)
