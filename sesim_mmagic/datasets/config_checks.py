"""The pictures that a config names, checked all at once; and the options that concern them."""

import inspect
from collections.abc import Collection, Iterator
from typing import Any

from mmengine.config import Config
from mmengine.registry import Registry, init_default_scope

from sesim_mmagic.registry import DATASETS, METRICS

from .checking import BrokenPictures, find_broken, remember_in
from .sources import list_pictures

_PARTS = ('train', 'val', 'test')


def set_picture_options(
    cfg: Config, skip_broken: bool = False, max_image_pixels: int | None = None
) -> None:
    """Give every data set and metric of a config that reads pictures these settings.

    Args:
        cfg (Config): Config of a training or a test; changed in place.
        skip_broken (bool): Whether pictures that cannot be used are left out.
        max_image_pixels (int, optional): Most pixels of a picture. Defaults to None: as the config
            says.

    Raises:
        ValueError: If nothing in the config takes a setting.
    """
    settings = dict(skip_broken=skip_broken or None, max_image_pixels=max_image_pixels)
    for name, value in settings.items():
        if value is None:
            continue
        takers = [taker for taker, names in _components(cfg, _PARTS) if name in names]
        if not takers:
            raise ValueError(
                f'--{name.replace("_", "-")}: no data set of this config takes {name}; use '
                'sesim_mmagic.UnpairedFolderDataset'
            )
        for taker in takers:
            taker[name] = value


def check_pictures(cfg: Config, parts: Collection[str] = _PARTS) -> None:
    """Look whether the pictures of a config can be used, before any work.

    Args:
        cfg (Config): Config of a training or a test. Its work directory notes what was checked.
        parts (Collection[str]): Of 'train', 'val' and 'test' those whose pictures are needed;
            what is wrong with the folders of the test is no error of a training.

    Raises:
        BrokenPictures: If pictures cannot be used and are not to be left out; it names all of all
            data sets and of the folders of metrics.
        FileNotFoundError: If a folder is missing.
        ValueError: If a data set cannot be built for another reason.
    """
    init_default_scope(cfg.get('default_scope', 'mmagic'))
    if cfg.get('work_dir'):
        remember_in(cfg.work_dir)
    broken: dict[str, str] = {}
    for part in parts:
        for component, settings in _components(cfg, [part]):
            try:
                if component.get('real_folder') is not None and 'real_folder' in settings:
                    if not component.get('skip_broken'):
                        paths = list_pictures(component['real_folder'])
                        broken |= find_broken(paths, component.get('max_image_pixels'))
                elif 'skip_broken' in settings and 'real_folder' not in settings:
                    DATASETS.build(component)
            except BrokenPictures as error:
                broken |= error.broken
            except (FileNotFoundError, ValueError):
                if part != 'test' or len(parts) == 1:
                    raise
    if broken:
        raise BrokenPictures(broken)


def _components(cfg: Config, parts: Collection[str]) -> Iterator[tuple[dict, Collection[str]]]:
    """Data sets and metrics, however deep they lie, with the names of their settings."""
    for part in parts:
        if part == 'train' or cfg.get(f'{part}_cfg') is not None:
            yield from _inside(cfg.get(f'{part}_dataloader'), DATASETS)
            yield from _inside(cfg.get(f'{part}_evaluator'), METRICS)


def _settings_of(kind: type) -> set[str]:
    """Names that a class takes, those that it hands to its bases among them."""
    names: set[str] = set()
    for owner in inspect.getmro(kind):
        if '__init__' in vars(owner):
            parameters = inspect.signature(vars(owner)['__init__']).parameters
            names.update(parameters)
            if all(p.kind is not p.VAR_KEYWORD for p in parameters.values()):
                break
    return names


def _inside(config: Any, registry: Registry) -> Iterator[tuple[dict, Collection[str]]]:
    if isinstance(config, (list, tuple)):
        for item in config:
            yield from _inside(item, registry)
    elif isinstance(config, dict):
        kind = config.get('type')
        kind = registry.get(kind) if isinstance(kind, str) else kind
        if inspect.isclass(kind):
            yield config, _settings_of(kind)
        for name in ('dataset', 'datasets', 'metrics'):
            yield from _inside(config.get(name), registry)
