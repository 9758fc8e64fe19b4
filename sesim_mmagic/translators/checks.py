"""Mistakes that would otherwise train quietly for hours."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.logging import MessageHub
from torch import Tensor, nn

from sesim_mmagic.losses import StructureLoss
from sesim_mmagic.networks import ProjectedDiscriminator
from sesim_mmagic.utils.checkpoints import TrainingStopped, resume_advice
from sesim_mmagic.utils.checks import check_ints, check_keys, check_numbers
from sesim_mmagic.utils.weights import WeightsMismatch, adapt_names, differences, with_average

# Where these do not fit, translations would come from random weights.
_GENERATORS = ('generators.', 'generator_ema.')


def check_channel_order(
    data_preprocessor: nn.Module, *users: StructureLoss | ProjectedDiscriminator
) -> None:
    """Raise ``ValueError`` if a user of features expects another order than images have."""
    # Without a wish the preprocessor leaves images as MMagic loads them: BGR.
    order = (getattr(data_preprocessor, 'output_channel_order', None) or 'BGR').lower()
    for user in users:
        expected = user.channel_order
        if expected is not None and expected != order:
            raise ValueError(
                f'{type(user).__name__} expects {expected.upper()} images, the data preprocessor '
                f"gives {order.upper()}; set feature_net.channel_order='{order}' or "
                f"data_preprocessor.output_channel_order='{expected.upper()}'"
            )


def check_generator_features(loss: Any, *generators: Any) -> None:
    """Raise ``ValueError`` if a loss sees images through generators that do not fit it."""
    if loss is None or not loss.needs_generator:
        return
    for generator in generators:
        if not hasattr(generator, 'encode'):
            raise ValueError(
                f'{type(loss).__name__} sees features of the generator, and '
                f'{type(generator).__name__} has no encode(images, layers); use '
                'sesim_mmagic.ResNetBlurGenerator or StyleGAN2Generator, or another structure loss'
            )
        if 0 in loss.layers and generator.feature_channels((0,)) == (1,):
            raise ValueError(
                f'{type(loss).__name__} sees layer 0, the picture itself, of three equal '
                'channels, where the generator has in_channels=1: leave layer 0 out of '
                'structure_loss.layers and structure_loss.channels'
            )
        channels = generator.feature_channels(loss.layers)
        if channels != loss.channels:
            raise ValueError(
                f'the generator has {channels} channels in the layers {loss.layers}, not the '
                f'{loss.channels} of {type(loss).__name__}: set structure_loss.channels={channels}'
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
            raise ValueError(
                f'the batch has no {key}, only {sorted(samples[0])}; name the domains of the '
                'pipeline (PackDomains, or KeyMapper and PackInputs) as the model does'
            )
        images = [image for sample in samples for image in _as_list(sample[key])]
        shapes[key] = [tuple(image.shape[-2:]) for image in images]
    if len({shape for sizes in shapes.values() for shape in sizes}) > 1:
        raise ValueError(
            f'images of one batch differ in size (height, width): {shapes}; crop or resize every '
            'image to one size in the training pipeline'
        )


def finite_losses(losses: Mapping[str, Tensor | float]) -> dict[str, Any]:
    """Detach the losses of a step, and stop the training if one of them is not finite.

    Called in ``train_step``, so that no hook sees the values, least of all one that writes a
    checkpoint, and no list of hooks can leave the check out.

    Args:
        losses (Mapping[str, Tensor | float]): Scalars by name.

    Returns:
        dict[str, Tensor | float]: The same, detached.

    Raises:
        TrainingStopped: A loss is NaN or infinite.
    """
    losses = {k: v.detach() if isinstance(v, Tensor) else v for k, v in losses.items()}
    tensors = [v.float().sum() for v in losses.values() if isinstance(v, Tensor)]
    # One wait for the accelerator, not one for each loss.
    if tensors and not torch.stack(tensors).isfinite().all():
        _refuse_losses(losses)
    if not all(math.isfinite(v) for v in losses.values() if not isinstance(v, Tensor)):
        _refuse_losses(losses)
    return losses


def _refuse_losses(losses: Mapping[str, Tensor | float]) -> None:
    # MMagic's sum tells less than its parts.
    names = sorted(losses, key=lambda name: name == 'loss')
    name, value = next((k, float(losses[k])) for k in names if not math.isfinite(losses[k]))
    # What MMEngine's runner tells its components; empty where there is none.
    known = MessageHub.get_current_instance().runtime_info
    where = f'Iteration {known["iter"] + 1}: ' if 'iter' in known else ''
    rank = f' on rank {get_rank()}' if get_world_size() > 1 else ''
    last = known.get('last_ckpt')
    advice = resume_advice(last if last and Path(last).is_file() else None)
    raise TrainingStopped(f"{where}'{name}' is {value}{rank}; the training was stopped. {advice}")


def check_weights(
    model: nn.Module, state_dict: dict[str, Tensor], prefix: str, *unused: object
) -> None:
    """Before weights are loaded into a model: they have to be those of its generators.

    Registered with the model, so that it holds whoever loads; MMEngine warns and goes on. The
    discriminators and losses may differ: a training can start from the generators alone. Image
    buffers always do, they grow while training.

    Checkpoints that MMagic wrote on several ranks hold ``generators.module.*``: their names are
    adapted to the model's. A released checkpoint has the moving average in the place of the
    generators: it becomes both of the model's.

    Args:
        model (nn.Module): What is loaded into.
        state_dict (dict[str, Tensor]): What is loaded; names are changed in place.
        prefix (str): Beginning of the model's names in ``state_dict``.
        *unused: What else torch gives to such a hook.

    Raises:
        WeightsMismatch: Weights are missing, unknown, no tensors or of another shape.
    """
    expected = model.state_dict()
    own = {k: state_dict.pop(k) for k in list(state_dict) if k.startswith(prefix)}
    found = adapt_names(expected, {k[len(prefix) :]: v for k, v in own.items()})
    found = with_average(expected, found)
    state_dict.update({prefix + k: v for k, v in found.items()})

    def of_generators(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {k: v for k, v in weights.items() if k.startswith(_GENERATORS)}

    lines = differences(of_generators(expected), of_generators(found))
    if lines:
        raise WeightsMismatch(type(model).__name__, lines)


def _as_list(images: Tensor | Sequence[Tensor]) -> list[Tensor]:
    return [images] if isinstance(images, Tensor) else list(images)


def check_average(owner: object, ema: Any) -> None:
    """Raise ``ValueError`` unless these are arguments of MMEngine's exponential moving average.

    Args:
        owner (nn.Module): Model that keeps the average.
        ema (object): Its setting ``ema``.
    """
    check_keys(owner, ('momentum', 'interval', 'device', 'update_buffers'), ema=ema)
    name = f'{type(owner).__name__}: ema'
    if 'momentum' in ema:
        check_numbers(name, above=0, most=1, momentum=ema['momentum'])
    if 'interval' in ema:
        check_ints(name, 1, interval=ema['interval'])
