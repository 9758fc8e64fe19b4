"""One batch through a translation model: pictures in, pictures out."""

import hashlib
import warnings
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from torch import Tensor, nn

from sesim_mmagic.engine.pictures import to_picture
from sesim_mmagic.networks.strips import StyledDecoder, can_run_in_strips, run_in_strips


def digest(networks: Iterable[nn.Module]) -> str:
    """What tells weights from others, 64 hexadecimal digits."""
    found = hashlib.sha256()
    for network in networks:
        for name, value in network.state_dict().items():
            found.update(name.encode())
            found.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return found.hexdigest()


def is_out_of_memory(error: Exception) -> bool:
    """Whether a picture was too large for the memory, of the device or of the host."""
    known = isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError))
    return known or "can't allocate memory" in str(error)


def collate(model: nn.Module, pictures: Sequence[np.ndarray], domain: str) -> dict:
    """A batch as the model takes it.

    Args:
        model (BaseTranslationModel): The model.
        pictures (Sequence[np.ndarray]): (H, W, 3), BGR, uint8, all of one size.
        domain (str): Where they are from.

    Returns:
        dict: ``inputs`` with the images, (B, 3, H, W), [-1, 1], ``data_samples``.
    """
    from mmagic.structures import DataSample  # imports much of MMagic

    tensors = [torch.from_numpy(np.ascontiguousarray(p.transpose(2, 0, 1))) for p in pictures]
    packed = [dict(inputs={f'img_{domain}': t}, data_samples=DataSample()) for t in tensors]
    preprocessor = model.data_preprocessor
    # These samples hold no pictures of their own; MMagic warns of each that it does not find.
    keys, preprocessor.data_keys = preprocessor.data_keys, None
    try:
        return preprocessor(pseudo_collate(packed))
    finally:
        preprocessor.data_keys = keys


@torch.no_grad()
def translations(
    model: nn.Module,
    data: dict,
    target: str,
    styles: Tensor | None = None,
    strip_pixels: int | None = None,
) -> Iterator[Tensor]:
    """Translate a batch, by the way of the model's ``test_step``.

    Args:
        model (BaseTranslationModel): The model.
        data (dict): Result of :func:`collate`.
        target (str): Domain to translate into.
        styles (Tensor, optional): Shape (N, style_channels), for a multi-modal model. Defaults to
            None: one translation; a multi-modal model draws its style with its ``seed``.
        strip_pixels (int, optional): Larger pictures are computed in strips of about so many pixels
            (see ``run_in_strips``) where the generator can be. Defaults to None: never.

    Yields:
        Tensor: Shape (B, n, 3, H, W), values in [-1, 1], of the next n styles.

    Raises:
        ValueError: The model has no styles, or others than these.
    """
    images = data['inputs'][f'img_{model.domains[target]}']
    height, width = images.shape[2:]
    parts = None
    if strip_pixels is not None and height * width > strip_pixels:
        parts = _in_strips(model, images, target, styles, max(64, strip_pixels // width))
    if parts is None:
        parts = model.translations(images, target, styles)
    for part in parts:
        yield part[..., :height, :width]


def picture_of(model: nn.Module, data: dict, index: int, image: Tensor, target: str) -> np.ndarray:
    """Turn one image of :func:`translations` into 8 bits, (H, W, 3), BGR."""
    sample = data['data_samples'].split()[index]
    key = f'img_{model.domains[target]}'
    return to_picture(model.data_preprocessor.destruct(image, sample, key))


def _in_strips(model, images, target, styles, rows):
    """The translations, or None with a warning where a network cannot be computed in strips."""
    decoder = model.inference_generators[target]
    if not model.style_channels:
        steps = [decoder]
    else:
        from sesim_mmagic.translators.styles import (  # imports much of MMagic
            draw_styles,
            styles_of_images,
        )

        if styles is None:
            styles = draw_styles(1, model.style_channels, model.seed)
        styles = styles_of_images(styles, 1, model.style_channels)[0].to(images)
        encoder = model.content_encoder(target).content_encoder
        steps = [encoder, StyledDecoder(decoder, styles[:1])]
    if not all(can_run_in_strips(network) for network in steps):
        warnings.warn(
            f'{type(decoder).__name__} cannot be computed in strips: pictures are translated in '
            'one piece, and memory grows with their size.',
            stacklevel=3,
        )
        return None
    # On the CPU: of the model's device no more memory is needed than for one strip.
    return _strips(steps[0], decoder, model.pad(images).cpu(), styles, rows, images.device)


def _strips(first, decoder, images, styles, rows, device):
    found = run_in_strips(first, images, rows)
    if styles is None:
        yield found[:, None].to(device)
        return
    for style in styles:
        network = StyledDecoder(decoder, style[None])
        yield run_in_strips(network, found, rows)[:, None].to(device)
