"""Checks of a whole config: nothing in it is read by nobody, and no value makes no sense.

Called where a config is read (``launch.load_config``), before anything is built.
"""

import ast
import inspect
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

from mmengine import registry
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner import Runner

from sesim_mmagic.apis.command_line import nearest
from sesim_mmagic.apis.components import wrong_components
from sesim_mmagic.apis.setting_values import check_values

#: What the Runner, its config and this package's launcher read beside the Runner's arguments.
_READ_ELSEWHERE = {
    'activation_checkpointing', 'compile', 'custom_imports', 'domain_mapping',
    'efficient_conv_bn_eval', 'find_unused_parameters', 'model_wrapper_cfg', 'runner_type',
    'strategy', 'sync_bn',
}  # fmt: skip
_DATA_LOADER = {
    'dataset', 'sampler', 'batch_sampler', 'collate_fn', 'num_batch_per_epoch', 'worker_init_fn',
    'batch_size', 'num_workers', 'pin_memory', 'drop_last', 'timeout', 'multiprocessing_context',
    'generator', 'prefetch_factor', 'persistent_workers', 'pin_memory_device', 'shuffle',
}  # fmt: skip
#: Sections that are no components, and what they hold.
_SECTIONS = {
    'train_dataloader': _DATA_LOADER,
    'val_dataloader': _DATA_LOADER,
    'test_dataloader': _DATA_LOADER,
    'randomness': {'seed', 'diff_rank_seed', 'deterministic'},
    'auto_scale_lr': {'base_batch_size', 'enable'},
    'env_cfg': {'cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'},
    'env_cfg.mp_cfg': {'mp_start_method', 'opencv_num_threads'},
}
#: Variables of a file that MMagic's inferencers read, not the Runner.
_READ_BY_INFERENCERS = {'test_pipeline', 'val_pipeline', 'demo_pipeline', 'inference_pipeline'}
_MOST_PLACES = 6


def runner_names() -> set[str]:
    """Top-level names of a config that training or testing reads."""
    return {*inspect.signature(Runner.__init__).parameters, *_READ_ELSEWHERE} - {'self', 'cfg'}


def check_options(cfg: Config, options: Mapping[str, object]) -> None:
    """Raise an error for options that would change nothing, or address what is not there.

    Args:
        cfg (Config): As its file gives it, before the options are merged.
        options (Mapping[str, object]): Value by dotted key.

    Raises:
        ValueError: Names the option, and what to set instead.
    """
    names = runner_names()
    for key in options:
        name, *parts = key.split('.')
        if name not in names:
            raise ValueError(f'--cfg-options {key}: {unread(cfg, name)}')
        place = cfg.get(name)
        for depth, part in enumerate(parts, start=1):
            where = '.'.join([name, *parts[: depth - 1]])
            if isinstance(place, (list, tuple)):
                if not part.isdigit() or int(part) >= len(place):
                    raise ValueError(
                        f'--cfg-options {key}: {where} is a list, of which {where}.0 to '
                        f'{where}.{len(place) - 1} can be set'
                        if place
                        else f'--cfg-options {key}: {where} is an empty list; set the whole list'
                    )
                if isinstance(place, tuple):
                    raise ValueError(f'--cfg-options {key}: {where} is a tuple; set it as a whole')
                place = place[int(part)]
            elif place is None and part.isdigit():
                raise ValueError(f'--cfg-options {key}: {where} is not set; set it as a whole')
            elif isinstance(place, Mapping) or place is None:
                place = (place or {}).get(part)
            else:
                raise ValueError(f'--cfg-options {key}: {where} is {place!r} and has no {part}')


def check_file(cfg: Config, path: str | Path) -> None:
    """Raise an error if a config file sets what nothing reads.

    Files have variables of their own, which they read themselves. Unread is one that its file does
    not use, where a base file has used its own value of it already, or whose value stands nowhere
    in what the Runner reads.

    Args:
        cfg (Config): As the file gives it.
        path (str | Path): Its file.

    Raises:
        ValueError: Names the file, the variable and what to set instead.
    """
    names = runner_names()
    if Path(path).suffix != '.py':
        _check_names(cfg, Path(path), {key for key in cfg if key not in names}, True)
        return
    wanted: set[str] = set()  # variables of base files that those above read
    files = [(Path(path), True)]
    for file, is_leaf in files:
        assigned, read, of_bases, bases = _variables(file)
        files += [(base, False) for base in bases if base.is_file()]
        inherited = {name for base in bases if base.is_file() for name in _assigned_below(base)}
        own = {name for name in assigned - names - read - wanted if not name.startswith('_')}
        wanted |= of_bases
        for name in sorted(own & inherited):
            old = [
                value for base in bases for value in [_value_in(base, name)] if value is not None
            ]
            now = _value_in(file, name)
            if old and (old[0] == now or (_stands(cfg, now) and not _stands(cfg, old[0]))):
                continue
            _refuse(file, unread(cfg, name, old[0] if old else None))
        if is_leaf:
            own -= inherited | _READ_BY_INFERENCERS
            _check_names(cfg, file, own, not bases and not read & assigned)


def _check_names(cfg: Config, file: Path, own: set[str], is_plain: bool) -> None:
    """Raise an error for variables that nothing reads.

    A plain file has no expressions. Most are written by MMEngine, with variables that others were
    computed of: only those that are called like a setting can have been changed since.
    """
    for name in sorted(own):
        value = cfg.get(name)
        is_misspelt = nearest(name, runner_names(), cutoff=0.8)
        is_setting = any(place.endswith(f'.{name}') for place, _ in _walk(cfg))
        if is_misspelt or (not _stands(cfg, value) and (is_setting or not is_plain)):
            _refuse(file, unread(cfg, name))


def _refuse(file: Path, reason: str) -> None:
    """Raise an error; of an installed package, whose files nobody should edit, a warning."""
    if 'site-packages' in file.resolve().parts:
        print_log(f"config '{file}': {reason}", 'current', logging.WARNING)
    else:
        raise ValueError(f"config '{file}': {reason}")


def _stands(cfg: Config, value: object) -> bool:
    """Whether a value, or all that it holds, stands somewhere in what the Runner reads."""
    if any(True for _ in places_of(cfg, value)):
        return True
    parts = value.values() if isinstance(value, Mapping) else value
    is_collection = isinstance(value, (Mapping, list, tuple)) and len(value) > 0
    return is_collection and all(_stands(cfg, part) for part in parts)


def unread(cfg: Config, name: str, value: object = None) -> str:
    """Why a top-level name has no effect, and what to set instead.

    Args:
        cfg (Config): The config.
        name (str): A name that the Runner does not read.
        value (object): What it was when it was read. Defaults to None: as it is in the config.

    Returns:
        str: A sentence.
    """
    if name not in cfg or nearest(name, runner_names(), cutoff=0.8):
        return f'nothing reads {name}{nearest(name, runner_names())}'
    places = list(places_of(cfg, cfg.get(name) if value is None else value))
    # The value may have been replaced already: settings of the same name are meant.
    places = places or [place for place, _ in _walk(cfg) if place.endswith(f'.{name}')]
    if not places:
        return f'nothing reads {name}{nearest(name, runner_names())}'
    more = ', ...' if len(places) > _MOST_PLACES else ''
    return f'{name} is read when the config is loaded: set {", ".join(places[:_MOST_PLACES])}{more}'


def places_of(cfg: Config, value: object) -> Iterator[str]:
    """Dotted keys of what the Runner reads that hold a value."""
    for place, other in _walk(cfg):
        if type(other) is type(value) and other == value:
            yield place


def _walk(cfg: Config) -> Iterator[tuple[str, object]]:
    names = runner_names()
    stack = [(key, cfg[key]) for key in reversed(list(cfg)) if key in names]
    while stack:
        place, value = stack.pop()
        yield place, value
        if isinstance(value, Mapping):
            inner = list(value.items())
        elif isinstance(value, (list, tuple)):
            inner = list(enumerate(value))
        else:
            continue
        stack += [(f'{place}.{key}', item) for key, item in reversed(inner)]


def check_components(cfg: Config) -> None:
    """Raise an error for what the Runner would stumble over: types, arguments, values.

    Args:
        cfg (Config): With all options.

    Raises:
        ValueError: Names the places of the first few mistakes.
    """
    check_values(cfg)
    for section, known in _SECTIONS.items():
        content = cfg.get(section, {}) if '.' not in section else _at(cfg, section)
        for key in content if isinstance(content, Mapping) else ():
            if key not in known:
                raise ValueError(f'{section} has no setting {key}{nearest(key, known)}')
    scope = cfg.get('default_scope') or 'mmengine'
    wrong = []
    for path, component, kinds in _components(cfg):
        wrong += wrong_components(component, path, kinds, scope)
    if wrong:
        more = f' (and {len(wrong) - 3} more)' if len(wrong) > 3 else ''
        raise ValueError('; '.join(wrong[:3]) + more)


def _at(cfg: Config, path: str) -> object:
    place: object = cfg
    for part in path.split('.'):
        place = place.get(part) if isinstance(place, (Mapping, Config)) else None
    return place


def _components(cfg: Config) -> Iterator[tuple[str, object, registry.Registry]]:
    """Place, settings and registry of the components that the Runner builds."""
    plain = {
        'model': registry.MODELS,
        'data_preprocessor': registry.MODELS,
        'visualizer': registry.VISUALIZERS,
        'log_processor': registry.LOG_PROCESSORS,
        'custom_hooks': registry.HOOKS,
        'model_wrapper_cfg': registry.MODEL_WRAPPERS,
        'train_cfg': registry.LOOPS,
        'val_cfg': registry.LOOPS,
        'test_cfg': registry.LOOPS,
    }
    epochs = _at(cfg, 'train_cfg.by_epoch')
    defaults = {
        'train_cfg': 'EpochBasedTrainLoop' if epochs else 'IterBasedTrainLoop',
        'val_cfg': 'ValLoop',
        'test_cfg': 'TestLoop',
        'log_processor': 'LogProcessor',
    }
    for name, kinds in plain.items():
        yield name, _typed(cfg.get(name), defaults.get(name)), kinds
    for part in ('train', 'val', 'test'):
        loader = cfg.get(f'{part}_dataloader')
        for index, each in enumerate(loader if isinstance(loader, (list, tuple)) else [loader]):
            path = f'{part}_dataloader' + (f'.{index}' if each is not loader else '')
            if isinstance(each, Mapping):
                yield f'{path}.dataset', each.get('dataset'), registry.DATASETS
                yield f'{path}.sampler', each.get('sampler'), registry.DATA_SAMPLERS
        evaluator = cfg.get(f'{part}_evaluator') if part != 'train' else None
        is_list = isinstance(evaluator, (list, tuple))
        for index, each in enumerate(evaluator if is_list else [evaluator]):
            is_evaluator = isinstance(each, Mapping) and (
                'metrics' in each or each.get('type') in registry.EVALUATOR.module_dict
            )
            kinds = registry.EVALUATOR if is_evaluator else registry.METRICS
            yield f'{part}_evaluator' + (f'.{index}' if is_list else ''), each, kinds
    hooks = cfg.get('default_hooks')
    for name, hook in hooks.items() if isinstance(hooks, Mapping) else ():
        if isinstance(hook, Mapping) and 'type' not in hook:
            others = set(hooks) - {name}
            raise ValueError(f'default_hooks.{name} has no type{nearest(name, others)}')
        yield f'default_hooks.{name}', hook, registry.HOOKS
    yield from _optimizers(cfg.get('optim_wrapper'))
    schedulers = cfg.get('param_scheduler')
    by_name = isinstance(schedulers, Mapping) and 'type' not in schedulers
    for name, each in schedulers.items() if by_name else [('', schedulers)]:
        path = 'param_scheduler' + (f'.{name}' if name else '')
        yield path, each, registry.PARAM_SCHEDULERS


def _optimizers(wrapper: object) -> Iterator[tuple[str, object, registry.Registry]]:
    if not isinstance(wrapper, Mapping):
        return
    if 'optimizer' in wrapper:
        yield 'optim_wrapper', _typed(wrapper, 'OptimWrapper'), registry.OPTIM_WRAPPERS
        return
    # Constructors of others have settings of their own beside the optimizers.
    is_usual = wrapper.get('constructor') in (None, 'MultiOptimWrapperConstructor')
    for name, each in wrapper.items():
        if name == 'paramwise_cfg' or not isinstance(each, Mapping):
            continue
        if is_usual or 'optimizer' in each:
            place = f'optim_wrapper.{name}'
            yield place, _typed(each, 'OptimWrapper'), registry.OPTIM_WRAPPERS


def _typed(component: object, default: str | None) -> object:
    if default is None or not isinstance(component, Mapping) or 'type' in component:
        return component
    # MMEngine chooses the loop by ``by_epoch`` and does not hand it over.
    return {'type': default, **{k: v for k, v in component.items() if k != 'by_epoch'}}


# ------------------------------------------------------------------ variables of config files


def _variables(file: Path) -> tuple[set[str], set[str], set[str], list[Path]]:
    """Names that a file assigns and reads, those it reads of its base files, and these files."""
    tree = ast.parse(file.read_text(encoding='utf-8'))
    assigned = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            assigned |= {n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)}
    read = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    of_bases = {
        n.attr
        for n in ast.walk(tree)
        if isinstance(n, ast.Attribute) and getattr(n.value, 'id', '') == '_base_'
    }
    bases = []
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], 'id', '') == '_base_':
            try:
                value = ast.literal_eval(node.value)
            except ValueError:
                continue
            texts = [value] if isinstance(value, str) else value
            bases = [file.parent / text for text in texts if '::' not in text]
    return assigned - {'_base_'}, read, of_bases, bases


def _assigned_below(file: Path) -> set[str]:
    if file.suffix != '.py':
        return set()
    assigned, _, _, bases = _variables(file)
    return assigned.union(*(_assigned_below(base) for base in bases if base.is_file()))


def _value_in(file: Path, name: str) -> object:
    return Config.fromfile(file).get(name)
