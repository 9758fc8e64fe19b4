"""How many sources a validation or a test translated."""

from collections.abc import Sequence

from mmengine.dist import all_gather_object
from mmengine.runner import Runner

from sesim_mmagic.engine.hooks.translations import each_translation


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
