"""Reading a config: its file, the options of the command line, and what would have no effect.

Two names are enough to change what stands in many places: ``data_root``, the folder of every data
set of training, validation and test, and ``max_iters``, the length of the training and of the
schedules of its learning rates (:func:`set_everywhere`).
"""

import ast
import logging
import os
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from sesim_mmagic.apis.command_line import CommandError, nearest, read_options
from sesim_mmagic.apis.settings import check_components, runner_names, settings_of
from sesim_mmagic.datasets.config_checks import set_picture_options
from sesim_mmagic.utils.checks import check_ints
from sesim_mmagic.utils.messages import in_one_line

#: Variables of a file that MMagic's inferencers read, not the Runner.
_READ_BY_INFERENCERS = {'test_pipeline', 'val_pipeline', 'demo_pipeline', 'inference_pipeline'}
_MOST_PLACES = 6


def load_config(args: Any) -> Config:
    """Read the config that a tool was called with, and apply the shared arguments.

    The work directory is the one of the command line, else of the config, else
    ``./work_dirs/<name of the config>``.

    Args:
        args (argparse.Namespace): Result of a parser of ``command_line`` with ``config``.

    Returns:
        Config: Ready for a Runner.

    Raises:
        FileNotFoundError: The config does not exist.
        CommandError: It cannot be read.
        ValueError: A setting is read by nothing, misspelt or makes no sense, or nothing in the
            config takes the options of pictures.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = read_config(args.config)
    apply_options(cfg, args.cfg_options)
    cfg.launcher = args.launcher
    set_picture_options(cfg, args.skip_broken, args.max_image_pixels)
    if args.work_dir:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs', Path(args.config).stem))
    check_components(cfg)
    return cfg


def read_config(path: str | Path) -> Config:
    """Read a config file, in which ``data_root`` and ``max_iters`` go where they belong.

    Args:
        path (str | Path): File of a config.

    Returns:
        Config: What it says.

    Raises:
        FileNotFoundError: The file does not exist.
        CommandError: The file, or one that it is based on, cannot be read or run.
        ValueError: The file sets what nothing reads.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"Config '{path}' does not exist (working directory: '{Path.cwd()}')."
        )
    try:
        cfg = Config.fromfile(path)
    except Exception as error:  # the file is run: anything can be wrong with it
        raise CommandError(
            f"config '{path}': {type(error).__name__}: {in_one_line(error)}"
        ) from error
    _apply_variables(cfg, Path(path))
    return cfg


def apply_options(cfg: Config, pairs: list[str]) -> None:
    """Put the options of the command line into a config.

    Args:
        cfg (Config): As its file gives it; changed in place.
        pairs (list[str]): ``KEY=VALUE`` each; ``data_root`` and ``max_iters`` among the keys.

    Raises:
        ValueError: An option would change nothing, or addresses what is not there.
    """
    options = read_options(pairs)
    for name in [name for name in options if name in _EVERYWHERE]:
        set_everywhere(cfg, name, options.pop(name))
    merge_settings(cfg, options, '--cfg-options')


def merge_settings(cfg: Config, settings: dict[str, Any], source: str) -> None:
    """Put settings into a config.

    Args:
        cfg (Config): As its file gives it; changed in place.
        settings (dict[str, Any]): Values by dotted keys.
        source (str): Where they come from, for messages.

    Raises:
        ValueError: A setting would change nothing, or addresses what is not there.
    """
    for key in settings:
        name, *parts = key.split('.')
        if name not in runner_names():
            raise ValueError(f'{source} {key}: {_unread(cfg, name)}')
        place, where = cfg.get(name), name
        for part in parts:
            if isinstance(place, Mapping):
                place = place.get(part)
            elif isinstance(place, list) and part.isdigit() and int(part) < len(place):
                place = place[int(part)]
            elif place is not None or part.isdigit():
                kind = f'a list of {len(place)}' if isinstance(place, list) else repr(place)
                raise ValueError(
                    f'{source} {key}: {where} is {kind} and has no {part}; set it as a whole'
                )
            where = f'{where}.{part}'
    cfg.merge_from_dict(deepcopy(settings))  # it takes _delete_ out of what it is given


def set_everywhere(cfg: Config, name: str, value: Any, instead: Any = ...) -> None:
    """Set ``data_root`` or ``max_iters`` in all places that depend on it.

    Args:
        cfg (Config): Changed in place.
        name (str): 'data_root': the folder of all data sets of training, validation and test.
            'max_iters': the length of the training; numbers of iterations of the schedules
            (``begin``, ``end``, ``step_size``, ``T_max``, ``milestones``) change in proportion.
        value (Any): The folder, or the number of iterations.
        instead (Any): Data sets whose folder is neither this nor None are left alone. Defaults to
            ``...``: all are changed.

    Raises:
        ValueError: There is nothing that takes the value.
    """
    if not _EVERYWHERE[name](cfg, value, instead):
        raise ValueError(f'nothing in the config takes {name}')
    cfg[name] = value


def _set_data_root(cfg: Config, value: Any, instead: Any) -> bool:
    if not isinstance(value, str):
        raise ValueError(f'data_root must be a folder, got {value!r}')
    has_taken = False
    places = [cfg.get(f'{part}_dataloader') for part in ('train', 'val', 'test')]
    for place in places:
        if isinstance(place, (list, tuple)):  # MMagic's loops take several data sets
            places.extend(place)
        elif isinstance(place, dict):
            # Data sets may be wrapped, as by RepeatDataset.
            places.extend(place[key] for key in ('dataset', 'datasets') if key in place)
            if 'data_root' in place and (instead is ... or place['data_root'] in (instead, None)):
                place['data_root'] = value
                has_taken = True
    return has_taken


def _set_max_iters(cfg: Config, value: Any, instead: Any) -> bool:
    check_ints('the config', least=1, max_iters=value)
    train = cfg.get('train_cfg') or {}
    before = train.get('max_iters')
    if before is None:
        return False
    train['max_iters'] = value

    def scaled(number: Any) -> Any:
        if isinstance(number, (list, tuple)):
            return [scaled(item) for item in number]
        return max(min(number, 1), round(number * value / before))

    schedules = [cfg.get('param_scheduler')]
    for schedule in schedules:
        if isinstance(schedule, (list, tuple)):
            schedules.extend(schedule)
        elif isinstance(schedule, dict) and 'type' not in schedule:
            schedules.extend(schedule.values())
        elif isinstance(schedule, dict) and schedule.get('by_epoch') is False:
            for key in ('begin', 'end', 'step_size', 'T_max', 'milestones'):
                if schedule.get(key) is not None:
                    schedule[key] = scaled(schedule[key])
            if schedule.get('end') is not None:
                schedule['begin'] = min(schedule.get('begin', 0), schedule['end'] - 1)
    return True


_EVERYWHERE = {'data_root': _set_data_root, 'max_iters': _set_max_iters}


def _apply_variables(
    cfg: Config, file: Path, wanted: frozenset[str] = frozenset(), is_leaf: bool = True
) -> dict[str, Any]:
    """Put ``data_root`` and ``max_iters`` of a file where they belong; refuse what has no effect.

    Files have variables of their own, which they read themselves. Without effect is one that its
    file does not use, where a base file has used its own value of it already, or whose value
    stands nowhere in what the Runner reads.

    Returns:
        dict[str, Any]: What the file says, its base files included.
    """
    assigned, read, of_bases, bases = _variables(file)
    inherited: dict[str, Any] = {}
    for base in bases:
        inherited.update(_apply_variables(cfg, base, wanted | of_bases, is_leaf=False))
    values = Config.fromfile(file).to_dict()
    # Most files without an expression are written by MMEngine, with variables that others were
    # computed of: only those that are called like a setting can have been changed since.
    is_plain = not bases and not read & assigned
    settings = _read_settings(cfg)
    for name in sorted(assigned - read - wanted - runner_names()):
        now, old = values.get(name), inherited.get(name)
        if name.startswith('_'):
            continue
        if name in inherited:
            is_idle = now != old and (_stands(settings, old) or not _stands(settings, now))
        else:
            is_setting = any(place.endswith(f'.{name}') for place, _ in settings)
            is_idle = not _stands(settings, now) and (is_setting or not is_plain)
            is_idle = is_idle or bool(nearest(name, runner_names(), cutoff=0.8))
            is_idle = is_idle and is_leaf and name not in _READ_BY_INFERENCERS
        if is_idle and bases and name in _EVERYWHERE:
            set_everywhere(cfg, name, now, instead=old if name in inherited else ...)
            settings = _read_settings(cfg)
        elif is_idle and 'site-packages' in file.resolve().parts:  # which nobody should edit
            print_log(f"config '{file}': {_unread(cfg, name, old)}", 'current', logging.WARNING)
        elif is_idle:
            raise ValueError(f"config '{file}': {_unread(cfg, name, old)}")
    return values


def _variables(file: Path) -> tuple[set[str], set[str], set[str], list[Path]]:
    """Names that a file assigns and reads, those it reads of its base files, and these files."""
    if file.suffix != '.py':
        return set(Config.fromfile(file)), set(), set(), []
    tree = ast.parse(file.read_text(encoding='utf-8'))
    nodes = list(ast.walk(tree))
    names = [node for node in nodes if isinstance(node, ast.Name)]
    assigned = {node.id for node in names if isinstance(node.ctx, ast.Store)} - {'_base_'}
    read = {node.id for node in names if isinstance(node.ctx, ast.Load)}
    of_bases = {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute) and getattr(node.value, 'id', '') == '_base_'
    }
    bases = []
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], 'id', '') == '_base_':
            value = ast.literal_eval(node.value)
            texts = [value] if isinstance(value, str) else value
            bases = [file.parent / text for text in texts if '::' not in text]
    return assigned, read, of_bases, bases


def _read_settings(cfg: Config) -> list[tuple[str, Any]]:
    """Dotted place and value of all that the Runner reads."""
    names = runner_names()
    plain = {name: value for name, value in cfg.to_dict().items() if name in names}
    return list(settings_of(plain))


def _stands(settings: list[tuple[str, Any]], value: Any) -> bool:
    """Whether a value, or all that it holds, stands somewhere in what the Runner reads."""
    if any(type(other) is type(value) and other == value for _, other in settings):
        return True
    parts = value.values() if isinstance(value, Mapping) else value
    is_collection = isinstance(value, (Mapping, list, tuple)) and len(value) > 0
    return is_collection and all(_stands(settings, part) for part in parts)


def _unread(cfg: Config, name: str, value: Any = None) -> str:
    """Why a top-level name has no effect, and what to set instead.

    ``value`` is what it was when it was read, None if that is what it is now.
    """
    value = cfg.to_dict().get(name) if value is None else value
    settings = _read_settings(cfg)
    places = [p for p, other in settings if type(other) is type(value) and other == value]
    # The value may have been replaced already: settings of the same name are meant.
    places = places or [place for place, _ in settings if place.endswith(f'.{name}')]
    if name not in cfg or not places or nearest(name, runner_names(), cutoff=0.8):
        return f'nothing reads {name}{nearest(name, runner_names())}'
    more = ', ...' if len(places) > _MOST_PLACES else ''
    return f'{name} is read when the config is loaded: set {", ".join(places[:_MOST_PLACES])}{more}'
