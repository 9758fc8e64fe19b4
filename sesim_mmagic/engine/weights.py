"""Names and shapes of weights: with and without wrappers, in a model and in a checkpoint."""

import re
from collections import OrderedDict

from mmengine.model import is_model_wrapper


def unwrapped(model):
    """Return the model inside a wrapper for distributed training, or the model itself."""
    return model.module if is_model_wrapper(model) else model


def plain_names(model, state_dict):
    """Rename weights as if no submodule of the model were wrapped for distributed training.

    ``MMSeparateDistributedDataParallel`` wraps the children of a model, which puts ``.module``
    behind their names.

    Args:
        model (nn.Module): Model that the weights belong to, wrapped or not.
        state_dict (OrderedDict): ``unwrapped(model).state_dict()``, or a copy on another device.

    Returns:
        OrderedDict: The same tensors under plain names.
    """
    wrapped = [name for name, child in unwrapped(model).named_children() if is_model_wrapper(child)]
    if not wrapped:
        return state_dict

    def plain(key):
        for name in wrapped:
            if f'{key}.'.startswith(f'{name}.module.'):
                return name + key[len(f'{name}.module') :]
        return key

    renamed = OrderedDict((plain(k), v) for k, v in state_dict.items())
    renamed._metadata = OrderedDict(
        (plain(k), v) for k, v in getattr(state_dict, '_metadata', {}).items()
    )
    return renamed


def adapt_names(expected, found):
    """Take the traces of wrappers out of a checkpoint's names where the model has none.

    Args:
        expected (Container[str]): Plain names of the model's weights.
        found (dict[str, Tensor]): Weights of a checkpoint.

    Returns:
        OrderedDict: ``found``, with ``module.x`` and ``generators.module.x`` renamed where the
        name without ``module.`` is one of the model's.
    """

    def adapted(key):
        if key in expected:
            return key
        return next(
            (
                k
                for k in (
                    re.sub(r'^module\.', '', key),
                    re.sub(r'^(module\.)?(\w+)\.module\.', r'\2.', key),
                )
                if k in expected
            ),
            key,
        )

    return OrderedDict((adapted(k), v) for k, v in found.items())


def differences(expected, found):
    """List what keeps weights from fitting a model.

    Args:
        expected (dict[str, Tensor]): Weights of the model.
        found (dict[str, Tensor]): Weights of a checkpoint.

    Returns:
        list[str]: One line for each missing, unexpected or differently shaped weight.
    """
    lines = [f"'{k}' is missing" for k in expected if k not in found]
    lines += [f"'{k}' is unknown to the model" for k in found if k not in expected]
    for key in expected:
        if key in found and expected[key].shape != found[key].shape:
            lines.append(
                f"'{key}' has shape {tuple(found[key].shape)}, "
                f'the model needs {tuple(expected[key].shape)}'
            )
    return lines


def with_average(expected, found):
    """Add the moving average that a model has and a checkpoint lacks, such as a released one.

    The generators of such a checkpoint are the average; training goes on from there.

    Args:
        expected (dict[str, Tensor]): Weights of the model.
        found (dict[str, Tensor]): Weights of the checkpoint under the model's names.

    Returns:
        dict[str, Tensor]: ``found``, with ``generator_ema.*`` if the model has it and the
        checkpoint has nothing of it.
    """
    if any(key.startswith('generator_ema.') for key in found):
        return found
    # The average of one generator does not name its domain.
    twins = {}
    for name in (name for name in found if name.startswith('generators.')):
        _, _, full = name.partition('.')
        for known in {full, full.partition('.')[2]}:
            twins.setdefault(known, []).append(name)
    added = OrderedDict(found)
    for key, value in expected.items():
        names = twins.get(key.removeprefix('generator_ema.module.'), ())
        if key == 'generator_ema.steps':
            added[key] = value
        elif key.startswith('generator_ema.') and len(names) == 1:
            added[key] = found[names[0]]
    return added
