"""Mistakes that would otherwise train quietly for hours."""

from collections.abc import Sequence

from torch import Tensor, nn


def check_channel_order(data_preprocessor: nn.Module, *losses: nn.Module | None) -> None:
    """Raise ``ValueError`` if a loss expects another channel order than the model's images have."""
    # Without a wish the preprocessor leaves images as MMagic loads them: BGR.
    order = (getattr(data_preprocessor, 'output_channel_order', None) or 'BGR').lower()
    for loss in losses:
        expected = getattr(loss, 'channel_order', None)
        if expected is not None and expected != order:
            raise ValueError(
                f'{type(loss).__name__} expects {expected.upper()} images, the data preprocessor '
                f"gives {order.upper()}; set feature_net.channel_order='{order}' or "
                f"data_preprocessor.output_channel_order='{expected.upper()}'"
            )


def check_generator_features(loss: nn.Module | None, *generators: nn.Module) -> None:
    """Raise ``ValueError`` if a loss looks through generators that do not fit it."""
    if loss is None or not loss.needs_generator:
        return
    for generator in generators:
        if not hasattr(generator, 'encode'):
            raise ValueError(
                f'{type(loss).__name__} looks at features of the generator, and '
                f'{type(generator).__name__} has no encode(images, layers); use '
                'sesim_mmagic.ResNetBlurGenerator or StyleGAN2Generator, or another structure loss'
            )
        found = generator.feature_channels(loss.layers)
        if found != loss.channels:
            raise ValueError(
                f'the generator has {found} channels in the layers {loss.layers}, not the '
                f'{loss.channels} of {type(loss).__name__}: set structure_loss.channels={found}'
            )


def check_training_batch(data: dict, keys: Sequence[str]) -> None:
    """Raise ``ValueError`` if images that the model needs are missing or differ in size.

    Called before the preprocessor, which would pad smaller images with zeros.
    """
    inputs = data['inputs']
    samples = inputs if isinstance(inputs, list) else [inputs]
    shapes = {}
    for key in keys:
        if any(key not in sample for sample in samples):
            advice = 'name the domains of the pipeline (KeyMapper, PackInputs) as the model does'
            if key.endswith('_aug'):
                advice = (
                    'add sesim_mmagic.AppearanceView to the training pipeline, before '
                    'PackDomains, or set structure_loss.use_augmented_view=False'
                )
            raise ValueError(f'the batch has no {key}, only {sorted(samples[0])}; {advice}')
        images = [image for sample in samples for image in _as_list(sample[key])]
        shapes[key] = [tuple(image.shape[-2:]) for image in images]
    if len({shape for sizes in shapes.values() for shape in sizes}) > 1:
        raise ValueError(
            f'images of one batch differ in size (height, width): {shapes}; crop or resize every '
            'image to one size in the training pipeline'
        )


def _as_list(images: Tensor | Sequence[Tensor]) -> list[Tensor]:
    return [images] if isinstance(images, Tensor) else list(images)
