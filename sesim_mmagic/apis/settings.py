"""A config against what training and testing read: names, sections, components and values."""

import inspect
import re
import typing
from collections.abc import Callable, Iterator, Mapping

from mmengine import registry
from mmengine.config import Config
from mmengine.registry import Registry
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from sesim_mmagic.apis.command_line import nearest
from sesim_mmagic.apis.signatures import (
    arguments_of,
    fits,
    misfit,
    sections,
    wrong_arguments,
    wrong_components,
)
from sesim_mmagic.utils.checks import check_ints, check_numbers

#: What the Runner, its config and this package's launcher read beside the Runner's arguments.
_READ_ELSEWHERE = {
    'activation_checkpointing', 'compile', 'custom_imports', 'domain_mapping',
    'efficient_conv_bn_eval', 'find_unused_parameters', 'model_wrapper_cfg', 'runner_type',
    'strategy', 'sync_bn',
}  # fmt: skip
_LEVEL = typing.Literal['CRITICAL', 'ERROR', 'WARNING', 'INFO', 'DEBUG']
#: Sections that are no components, and what they hold.
_SECTIONS: dict[str, dict[str, object]] = {
    'randomness': dict(seed=int | None, diff_rank_seed=bool, deterministic=bool),
    'auto_scale_lr': dict(base_batch_size=int, enable=bool),
    'env_cfg': dict(cudnn_benchmark=bool, mp_cfg=dict, dist_cfg=dict, resource_limit=int),
    'env_cfg.mp_cfg': dict(
        mp_start_method=typing.Literal['fork', 'spawn', 'forkserver'], opencv_num_threads=int
    ),
}
#: Components of the Runner by their section, and what MMEngine takes where none is named.
_COMPONENTS = {
    'model': (registry.MODELS, None),
    'data_preprocessor': (registry.MODELS, None),
    'visualizer': (registry.VISUALIZERS, None),
    'log_processor': (registry.LOG_PROCESSORS, 'LogProcessor'),
    'custom_hooks': (registry.HOOKS, None),
    'model_wrapper_cfg': (registry.MODEL_WRAPPERS, None),
    'train_cfg': (registry.LOOPS, 'IterBasedTrainLoop'),
    'val_cfg': (registry.LOOPS, 'ValLoop'),
    'test_cfg': (registry.LOOPS, 'TestLoop'),
}
_OPTIMIZER = r'optim_wrapper(\.\w+)?\.optimizer\.'
_HOOK = r'(default_hooks|custom_hooks)\.\w+\.'
#: Values that others accept although they make no sense: place, check and its bounds.
_RANGES: list[tuple[str, Callable[..., None], dict]] = [
    (r'train_cfg\.(max_iters|max_epochs|val_interval)', check_ints, dict(least=1)),
    (r'train_cfg\.val_begin|\w+_dataloader\.num_workers', check_ints, dict(least=0)),
    (r'\w+_dataloader\.(batch_size|prefetch_factor)', check_ints, dict(least=1, also=(None,))),
    (r'\w+_dataloader\.timeout', check_numbers, dict(least=0)),
    (_OPTIMIZER + r'(lr|weight_decay|momentum|dampening|eps)', check_numbers, dict(least=0)),
    (_OPTIMIZER + r'betas\.\d', check_numbers, dict(least=0, below=1)),
    (r'optim_wrapper(\.\w+)?\.accumulative_counts', check_ints, dict(least=1)),
    (r'optim_wrapper.*\.(max_norm|clip_value)', check_numbers, dict(above=0)),
    (r'param_scheduler.*\.begin', check_ints, dict(least=0)),
    (r'param_scheduler.*\.(end|step_size|T_max)', check_ints, dict(least=1, also=(None,))),
    (r'param_scheduler.*\.(start_factor|end_factor)', check_numbers, dict(least=0)),
    (r'param_scheduler.*\.(gamma|factor)', check_numbers, dict(above=0)),
    (r'param_scheduler.*\.(eta_min|power)', check_numbers, dict(least=0, also=(None,))),
    (_HOOK + r'(interval|max_keep_ckpts)', check_ints, dict(least=1, also=(-1,))),
    (r'log_processor\.window_size|auto_scale_lr\.base_batch_size', check_ints, dict(least=1)),
    (_HOOK + r'save_begin|env_cfg\.mp_cfg\.opencv_num_threads', check_ints, dict(least=0)),
    (r'randomness\.seed', check_ints, dict(least=0, also=(None,))),
    (r'.*pipeline\.\d+\.(flip_ratio|prob)(\.\d)?', check_numbers, dict(least=0, most=1)),
    (
        r'.*pipeline\.\d+\.(crop_size|scale|min_size)(\.\d)?',
        check_numbers,
        dict(above=0, also=(None, -1)),
    ),
    (
        r'model\.(.*\.)?(base_channels|in_channels|out_channels|num_conv|num_down|num_blocks)'
        r'(\.\d)?',
        check_ints,
        dict(least=1),
    ),
    (r'model\.loss_config\.\w+_weight|model\.gan_loss\.loss_weight', check_numbers, dict(least=0)),
    (r'model\.(.*\.)?init_cfg\.(gain|std)', check_numbers, dict(least=0)),
    (r'model\.(.*\.)?(real_label_val|fake_label_val)', check_numbers, {}),
]


def runner_names() -> set[str]:
    """Top-level names of a config that training or testing reads."""
    return {*inspect.signature(Runner.__init__).parameters, *_READ_ELSEWHERE} - {'self', 'cfg'}


def check_components(cfg: Config) -> None:
    """Raise an error for what the Runner would stumble over: names, types, arguments, values.

    Args:
        cfg (Config): With all options.

    Raises:
        ValueError: Names the places of the first few mistakes.
    """
    settings = cfg.to_dict()
    wrong = [*_wrong_sections(settings), *_wrong_values(settings), *_wrong_schedules(settings)]
    if not wrong:
        scope = settings.get('default_scope') or 'mmengine'
        for path, component, kinds, default in _components(settings):
            wrong += wrong_components(component, path, kinds, scope, default)
    if wrong:
        more = f' (and {len(wrong) - 3} more)' if len(wrong) > 3 else ''
        raise ValueError('; '.join(wrong[:3]) + more)


def settings_of(content: object, path: str = '') -> Iterator[tuple[str, object]]:
    """Dotted place and value of everything in nested settings."""
    if isinstance(content, Mapping):
        items: typing.Any = content.items()
    elif isinstance(content, (list, tuple)):
        items = enumerate(content)
    else:
        return
    for key, value in items:
        place = f'{path}.{key}' if path else str(key)
        yield place, value
        yield from settings_of(value, place)


def _wrong_values(settings: dict) -> Iterator[str]:
    rules = [(re.compile(pattern), check, bounds) for pattern, check, bounds in _RANGES]
    for place, value in settings_of(settings):
        for pattern, check, bounds in rules:
            if pattern.fullmatch(place) and not isinstance(value, (list, tuple)):
                owner, _, name = place.rpartition('.')
                try:
                    check(owner, **bounds, **{name: value})
                except ValueError as error:
                    yield str(error)


def _wrong_sections(settings: dict) -> Iterator[str]:
    """The Runner's own arguments, and sections that are no components."""
    hints = {**typing.get_type_hints(Runner.__init__), 'log_level': _LEVEL}
    for name, value in settings.items():
        is_default = value is None and name != 'model'
        # MMagic's loops take lists.
        parts = value if isinstance(value, (list, tuple)) and value else [value]
        is_right = is_default or name not in hints or fits(value, hints[name])
        if not is_right and not all(fits(part, hints[name]) for part in parts):
            yield misfit(name, hints[name], value)
    loader = {**arguments_of(DataLoader)[0], 'num_batch_per_epoch': (int, 'torch')}
    accepted_by = {f'{part}_dataloader': loader for part in ('train', 'val', 'test')}
    for section, known in _SECTIONS.items():
        accepted_by[section] = {name: (hint, 'mmengine') for name, hint in known.items()}
    for section, accepted in accepted_by.items():
        content: object = settings
        for part in section.split('.'):
            content = content.get(part) if isinstance(content, dict) else None
        for path, given in sections(content, section):
            yield from wrong_arguments(given, path, accepted, section)
    hooks = settings.get('default_hooks')
    hooks = hooks if isinstance(hooks, dict) else {}
    for name, hook in hooks.items():
        if isinstance(hook, dict) and 'type' not in hook:
            yield f'default_hooks.{name} has no type{nearest(name, set(hooks) - {name})}'


def _wrong_schedules(settings: dict) -> Iterator[str]:
    """Schedules by name that are not one for each optimizer, as MMEngine wants them."""
    schedules, wrapper = settings.get('param_scheduler'), settings.get('optim_wrapper')
    if not isinstance(schedules, dict) or not isinstance(wrapper, dict):
        return
    optimizers = set(_optimizers(wrapper))
    if optimizers == {''}:
        if 'type' not in schedules:
            yield 'param_scheduler must be one schedule, or a list, for the one optimizer there is'
        return
    # Constructors of others name optimizers as they like.
    if not str(wrapper.get('constructor')).endswith('MultiOptimWrapperConstructor'):
        return
    own = sorted(name for name in schedules if isinstance(schedules[name], (dict, list)))
    if 'type' in schedules:
        if named := [name for name in own if name in optimizers]:
            yield (
                f'param_scheduler is one schedule and has others for {", ".join(named)}: add '
                f'_delete_=True to it, or set param_scheduler.{named[0]}'
            )
        return
    for name in sorted(optimizers - schedules.keys()):
        yield (
            f'param_scheduler lacks {name}: one for each optimizer of optim_wrapper is needed '
            "(a rate that stays is type='ConstantLR' with factor=1)"
        )
    for name in sorted(schedules.keys() - optimizers):
        if name in own or not own:
            yield f'param_scheduler.{name} is of no optimizer{nearest(name, optimizers)}'
        else:
            yield f'param_scheduler has a schedule for each optimizer: set {own[-1]}.{name} in it'


def _components(settings: dict) -> Iterator[tuple[str, object, Registry, str | None]]:
    """Place, settings, registry and usual type of the components that the Runner builds."""
    for name, (kinds, default) in _COMPONENTS.items():
        component = settings.get(name)
        if name == 'train_cfg' and isinstance(component, dict) and 'type' not in component:
            # MMEngine chooses the loop by ``by_epoch`` and does not hand it over.
            default = 'EpochBasedTrainLoop' if component.get('by_epoch') else default
            component = {key: value for key, value in component.items() if key != 'by_epoch'}
        if component is not None:
            yield name, component, kinds, default
    for part in ('train', 'val', 'test'):
        for path, loader in sections(settings.get(f'{part}_dataloader'), f'{part}_dataloader'):
            yield f'{path}.dataset', loader.get('dataset'), registry.DATASETS, None
            if loader.get('sampler') is not None:
                yield f'{path}.sampler', loader['sampler'], registry.DATA_SAMPLERS, None
        evaluators = settings.get(f'{part}_evaluator') if part != 'train' else None
        for path, evaluator in sections(evaluators, f'{part}_evaluator'):
            known = registry.EVALUATOR.module_dict
            is_evaluator = 'metrics' in evaluator or evaluator.get('type') in known
            kinds = registry.EVALUATOR if is_evaluator else registry.METRICS
            yield path, evaluator, kinds, None
    for name, hook in (settings.get('default_hooks') or {}).items():
        if hook is not None:
            yield f'default_hooks.{name}', hook, registry.HOOKS, None
    yield from _optimizer_components(settings)


def _optimizer_components(settings: dict) -> Iterator[tuple[str, object, Registry, str | None]]:
    for name, part in _optimizers(settings.get('optim_wrapper') or {}).items():
        yield f'optim_wrapper.{name}'.strip('.'), part, registry.OPTIM_WRAPPERS, 'OptimWrapper'
    schedulers: typing.Any = settings.get('param_scheduler') or []
    by_name = isinstance(schedulers, dict) and 'type' not in schedulers
    for name, part in schedulers.items() if by_name else [('', schedulers)]:
        yield f'param_scheduler.{name}'.strip('.'), part, registry.PARAM_SCHEDULERS, None


def _optimizers(wrapper: dict) -> dict[str, object]:
    """Settings of optimizer wrappers by their names; a single one has the name ''."""
    if 'optimizer' in wrapper:
        return {'': wrapper}
    parts = {k: v for k, v in wrapper.items() if k not in ('constructor', 'paramwise_cfg')}
    # Constructors of others have settings of their own beside the optimizers.
    is_usual = wrapper.get('constructor') in (None, 'MultiOptimWrapperConstructor')
    return {k: v for k, v in parts.items() if is_usual or isinstance(v, dict) and 'optimizer' in v}
