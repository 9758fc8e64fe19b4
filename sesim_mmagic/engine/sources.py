"""The sources of translations: their paths, how many there are, what results are called."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import permutations
from pathlib import PurePath
from typing import Any

from mmengine.dist import all_gather_object
from mmengine.runner import BaseLoop, Runner

from sesim_mmagic.engine.models import translator_of
from sesim_mmagic.utils.names import output_names
from sesim_mmagic.utils.samples import has_repeated

_FAKE = 'fake_'


def parts_of(loop: BaseLoop) -> list[tuple[Any, Any]]:
    """Data loaders and evaluators of a validation or test loop; MMagic's loops have several."""
    if hasattr(loop, 'evaluators'):
        return list(zip(loop.dataloaders, loop.evaluators, strict=True))
    return [(loop.dataloader, loop.evaluator)]


def each_translation(runner: Runner, samples: Iterable[Any]) -> Iterator[tuple[Any, str, str]]:
    """Each sample with the source and the target of each of its translations.

    A picture that an earlier sample has too was translated there, not again.

    Raises:
        ValueError: A sample holds no translation.
    """
    domains = translator_of(runner.model).domains
    for sample in samples:
        targets = [key[len(_FAKE) :] for key in sample.keys() if key.startswith(_FAKE)]
        if not targets and not has_repeated(sample):
            raise ValueError(
                f'A sample holds no fake_<domain>, only {sample.keys()}: SaveTranslationsHook '
                'needs a translation model.'
            )
        for target in targets:
            yield sample, domains[target], target


def source_path(sample: Any, source: str) -> str:
    """Path of the picture of a domain.

    Raises:
        ValueError: The sample does not have it.
    """
    path = sample.get(f'img_{source}_path')
    if path is None:
        raise ValueError(
            f"A test sample has no 'img_{source}_path', its source has no name: list "
            f"'img_{source}_path' in meta_keys of PackInputs."
        )
    return str(path)


class SourceNames:
    """Names for results of the pictures of data sets; folders below a set's own stay in them.

    See :func:`~sesim_mmagic.utils.names.output_names` for the rule. Where two pictures would have
    one name even so, of two data sets for example, the later one gets digits of a checksum of its
    path as well. A picture that no data set lists is called by its stem.

    Args:
        datasets (Iterable[Dataset]): Data sets, in the order of a test; ``get_data_info`` of
            MMEngine's data sets tells the paths of their pictures.
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self._names: dict[str, PurePath] = {}
        self._pairs: set[tuple[str, str]] = set()
        #: Pictures by name that no data set lists.
        self._unlisted: dict[PurePath, str] = {}
        groups: dict[str, dict[str, PurePath]] = {}
        # One that joins others (MMEngine's ConcatDataset) knows neither folders nor pairs.
        for dataset in (part for d in datasets for part in getattr(d, 'datasets', [d])):
            for paths in _listed(dataset):
                for key, path in paths.items():
                    groups.setdefault(key, {})[path] = _below(PurePath(path), _folders(dataset))
                if getattr(dataset, 'paired', False):
                    self._pairs.update(permutations(paths.values(), 2))
        for group in groups.values():
            taken: dict[PurePath, str] = {}
            for path, name in zip(group, output_names(list(group.values())), strict=True):
                self._names[path] = _free(name, path, taken)

    def of(self, path: str) -> str:
        """Name for what is made of a picture, without a suffix, with slashes."""
        if path in self._names:
            return self._names[path].as_posix()
        (name,) = output_names([PurePath(path).name])
        return _free(name, path, self._unlisted).as_posix()

    def are_pair(self, left: str, right: str) -> bool:
        """Whether two pictures show one scene: of a paired data set, or halves of one file."""
        return left == right or (left, right) in self._pairs


def _free(name: PurePath, path: str, taken: dict[PurePath, str]) -> PurePath:
    if taken.setdefault(name, path) == path:
        return name
    return name.with_name(f'{name.name}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}')


def _listed(dataset: Any) -> Iterator[dict[str, str]]:
    """Paths of the pictures of each sample by their keys."""
    if hasattr(dataset, 'get_data_info'):
        for info in map(dataset.get_data_info, range(len(dataset))):
            yield {
                key: str(path)
                for key, path in info.items()
                if key.endswith('_path') and isinstance(path, (str, PurePath))
            }


def _folders(dataset: Any) -> list[str | None]:
    """Folders of a data set, which may lie in one another."""
    folders = [getattr(dataset, key, None) for key in ('dataroot_a', 'dataroot_b', 'data_root')]
    return [*folders, *dict(getattr(dataset, 'data_prefix', None) or {}).values()]


def _below(path: PurePath, folders: Iterable[str | None]) -> PurePath:
    """A path below the deepest of the folders that it lies in; its name alone if there is none."""
    ways = [
        path.relative_to(folder) for folder in folders if folder and path.is_relative_to(folder)
    ]
    return min(ways, key=lambda way: len(way.parts), default=PurePath(path.name))


class SourceCount:
    """Sources of the translations that all ranks yield, each counted once."""

    def __init__(self) -> None:
        self._sources: dict[str, set] = {}

    def clear(self) -> None:
        """Count anew."""
        self._sources.clear()

    def add(self, runner: Runner, outputs: Sequence | None) -> None:
        """Count the sources of a batch; those without a path one by one."""
        for sample, source, target in each_translation(runner, outputs or ()):
            sources = self._sources.setdefault(target, set())
            sources.add(sample.get(f'img_{source}_path') or len(sources))

    def total(self) -> int:
        """Number over all ranks; of two directions that of the larger domain. Ranks meet here."""
        parts = all_gather_object(self._sources)
        targets = set().union(*parts)
        return max((len(set().union(*(p.get(t, ()) for p in parts))) for t in targets), default=0)
