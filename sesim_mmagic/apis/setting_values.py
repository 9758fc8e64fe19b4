"""Values that MMEngine, MMagic and PyTorch accept for their settings although they make no sense.

Those of this package's own components are checked where they are built.
"""

import re
from collections.abc import Callable, Iterator, Mapping

from mmengine.config import Config

from sesim_mmagic.utils.checks import (
    check_choice,
    check_flags,
    check_ints,
    check_numbers,
    check_texts,
)

Check = Callable[[str, str, object], None]


def _ints(least: int, *also: object) -> Check:
    return lambda owner, name, value: check_ints(owner, least, also, **{name: value})


def _numbers(**bounds: object) -> Check:
    return lambda owner, name, value: check_numbers(owner, **bounds, **{name: value})


def _flags(owner: str, name: str, value: object) -> None:
    check_flags(owner, **{name: value})


def _texts(*also: object) -> Check:
    return lambda owner, name, value: check_texts(owner, also, **{name: value})


def _choice(*choices: object) -> Check:
    return lambda owner, name, value: check_choice(owner, choices, **{name: value})


def _section(*also: object) -> Check:
    def check(owner: str, name: str, value: object) -> None:
        if not (value is None and None in also) and not isinstance(value, Mapping):
            nothing = ' or None' if None in also else ''
            place = name if owner == 'the config' else f'{owner}.{name}'
            raise ValueError(f'{place} must be a dictionary{nothing}, got {value!r}')

    return check


def _betas(owner: str, name: str, value: object) -> None:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise ValueError(f'{owner}.{name} must be two numbers, got {value!r}')
    for index, share in enumerate(value):
        check_numbers(f'{owner}.{name}', least=0, below=1, **{str(index): share})


def _list(owner: str, name: str, value: object) -> None:
    if value is not None and not isinstance(value, (list, tuple)):
        place = name if owner == 'the config' else f'{owner}.{name}'
        raise ValueError(f'{place} must be a list or None, got {value!r}')


def _keys(owner: str, name: str, value: object) -> None:
    keys = value if isinstance(value, (list, tuple)) else [value]
    for key in keys:
        check_texts(owner, **{name: key})


def _each(check: Check) -> Check:
    """The check of a value, or of each where there is a list of them."""

    def check_each(owner: str, name: str, value: object) -> None:
        if not isinstance(value, (list, tuple)):
            check(owner, name, value)
            return
        for index, item in enumerate(value):
            check(owner, f'{name}.{index}', item)

    return check_each


_OPTIMIZER = r'optim_wrapper(\.\w+)?\.optimizer\.'
_SCHEDULER = r'param_scheduler(\.\w+)*\.'
_HOOK = r'(default_hooks|custom_hooks)\.\w+\.'
#: Place of a setting, and what it must be.
RULES: list[tuple[str, Check]] = [
    (r'model', _section()),
    (r'(train|val|test)_cfg|optim_wrapper|env_cfg|randomness|default_hooks', _section(None)),
    (r'default_hooks\.\w+|env_cfg\.\w+_cfg|auto_scale_lr', _section(None)),
    (r'custom_hooks|\w+_dataloader\.dataset\.pipeline', _list),
    (r'custom_hooks\.\d+|.*pipeline\.\d+|\w+_dataloader\.dataset', _section()),
    (r'\w+_dataloader\.sampler', _section(None)),
    (r'optim_wrapper\.(generators|discriminators|structure_loss)', _section()),
    (r'optim_wrapper(\.\w+)?\.optimizer', _section()),
    (r'.*pipeline\.\d+\.keys', _keys),
    (r'resume', _choice(True, False, None)),
    (r'load_from|work_dir|experiment_name', _texts(None)),
    (r'default_scope', _texts(None)),
    (r'log_level', _choice('CRITICAL', 'ERROR', 'WARNING', 'INFO', 'DEBUG')),
    (r'train_cfg\.(max_iters|max_epochs|val_interval)', _ints(1)),
    (r'train_cfg\.val_begin', _ints(0)),
    (r'train_cfg\.by_epoch', _flags),
    (r'\w+_dataloader\.batch_size', _ints(1, None)),
    (r'\w+_dataloader\.num_workers', _ints(0)),
    (r'\w+_dataloader\.prefetch_factor', _ints(1, None)),
    (r'\w+_dataloader\.(persistent_workers|pin_memory|drop_last)', _flags),
    (r'\w+_dataloader\.timeout', _numbers(least=0)),
    (r'\w+_dataloader\.sampler\.(shuffle|round_up)', _flags),
    (_OPTIMIZER + r'(lr|weight_decay|momentum|dampening)', _numbers(least=0)),
    (_OPTIMIZER + r'betas', _betas),
    (_OPTIMIZER + r'eps', _numbers(least=0)),
    (r'optim_wrapper(\.\w+)?\.accumulative_counts', _ints(1)),
    (r'optim_wrapper(\.\w+)?\.clip_grad\.(max_norm|clip_value)', _numbers(above=0)),
    (_SCHEDULER + r'begin', _ints(0)),
    (_SCHEDULER + r'end', _ints(1)),
    (_SCHEDULER + r'(step_size|T_max)', _ints(1, None)),
    (_SCHEDULER + r'(by_epoch|verbose|convert_to_iter_based)', _flags),
    (_SCHEDULER + r'(start_factor|end_factor)', _numbers(least=0)),
    (_SCHEDULER + r'(gamma|factor)', _numbers(above=0)),
    (_SCHEDULER + r'(eta_min|power)', _numbers(least=0, also=(None,))),
    (_HOOK + r'interval', _ints(1, -1)),
    (_HOOK + r'max_keep_ckpts', _ints(1, -1)),
    (_HOOK + r'save_begin', _ints(0)),
    (
        _HOOK + r'(by_epoch|save_optimizer|save_param_scheduler|save_last|log_metric_by_epoch)',
        _flags,
    ),
    (r'log_processor\.window_size', _ints(1)),
    (r'log_processor\.by_epoch', _flags),
    (r'randomness\.seed', _ints(0, None)),
    (r'randomness\.(deterministic|diff_rank_seed)', _flags),
    (r'auto_scale_lr\.base_batch_size', _ints(1)),
    (r'auto_scale_lr\.enable', _flags),
    (r'env_cfg\.cudnn_benchmark', _flags),
    (r'env_cfg\.mp_cfg\.opencv_num_threads', _ints(0)),
    (r'env_cfg\.mp_cfg\.mp_start_method', _choice('fork', 'spawn', 'forkserver')),
    (r'.*pipeline\.\d+\.(flip_ratio|prob)', _each(_numbers(least=0, most=1))),
    (r'.*pipeline\.\d+\.(crop_size|scale|min_size)', _each(_numbers(above=0, also=(None, -1)))),
    (r'.*pipeline\.\d+\.(random_crop|keep_ratio)', _flags),
    (
        r'model\.(.*\.)?(base_channels|in_channels|out_channels|num_conv|num_down|num_blocks)',
        _each(_ints(1)),
    ),
    (r'model\.loss_config\.\w+_weight', _numbers(least=0)),
    (r'model\.(.*\.)?init_cfg\.(gain|std)', _numbers(least=0)),
    (r'model\.(.*\.)?(real_label_val|fake_label_val)', _numbers()),
    (r'model\.gan_loss\.loss_weight', _numbers(least=0)),
]
_RULES = [(re.compile(pattern), check) for pattern, check in RULES]


def check_values(cfg: Config) -> None:
    """Raise an error for the first setting whose value makes no sense.

    Args:
        cfg (Config): The whole config.

    Raises:
        ValueError: Names the setting, what it must be and what it is.
    """
    for place, value in _settings(cfg.to_dict(), ''):
        for pattern, check in _RULES:
            if pattern.fullmatch(place):
                owner, _, name = place.rpartition('.')
                check(owner or 'the config', name, value)


def _settings(content: object, path: str) -> Iterator[tuple[str, object]]:
    if isinstance(content, Mapping):
        items = content.items()
    elif isinstance(content, (list, tuple)):
        items = enumerate(content)
    else:
        return
    for key, value in items:
        place = f'{path}.{key}' if path else str(key)
        yield place, value
        yield from _settings(value, place)
