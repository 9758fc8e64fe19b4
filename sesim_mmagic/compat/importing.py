"""When repairs happen, and what stands where something is missing."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable, Iterator
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

#: Names of the repairs that this process needed, in order.
applied: list[str] = []


def note(name: str) -> None:
    """Remember that a repair was needed."""
    if name not in applied:
        applied.append(name)


class _RepairingFinder(MetaPathFinder):
    """Lets the other finders find a module, and runs its repair once it has been executed."""

    def __init__(self) -> None:
        self.repairs: dict[str, Callable[[ModuleType], None]] = {}
        #: Beginnings of a warning that a module is not to give while it is imported.
        self.silenced: dict[str, str] = {}

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name not in self.repairs and name not in self.silenced:
            return None
        others = (f for f in sys.meta_path if f is not self and hasattr(f, 'find_spec'))
        spec = next(filter(None, (f.find_spec(name, path, target) for f in others)), None)
        loader: Any = spec and spec.loader
        if not hasattr(loader, 'exec_module'):
            return spec
        execute = loader.exec_module

        def execute_and_repair(module: ModuleType) -> None:
            with warnings.catch_warnings():
                if name in self.silenced:
                    warnings.filterwarnings('ignore', re.escape(self.silenced[name]))
                execute(module)
            if name in self.repairs:
                self.repairs[name](module)

        # Set on the loader's instance: the module keeps its own loader, source and all.
        loader.exec_module = execute_and_repair
        return spec


finder = _RepairingFinder()


def when_imported(name: str, repair: Callable[[ModuleType], None]) -> None:
    """Run ``repair(module)`` after each import of the module ``name``; now if it is imported."""
    if finder not in sys.meta_path:
        sys.meta_path.insert(0, finder)
    if name not in finder.repairs and name in sys.modules:
        repair(sys.modules[name])
    finder.repairs[name] = repair


def silence_while_imported(name: str, beginning: str) -> None:
    """Ignore warnings of a beginning while the module ``name`` is imported."""
    finder.silenced[name] = beginning


class Missing(ModuleType):
    """Stands for a module that is not there: anything in it can be named and gone through.

    Args:
        name (str): Name of the module, or of something in it.
        advice (str): What whoever calls something in it is told.
    """

    def __init__(self, name: str, advice: str) -> None:
        super().__init__(name, f'Placeholder: {advice}')
        self.advice = advice
        # MMEngine reads the loader to tell mmcv from mmcv-lite; None keeps the answer "lite".
        self.__spec__ = ModuleSpec(name, loader=None)
        self.__file__ = __file__  # inspect and warnings want every module to have one

    def __getattr__(self, name: str) -> Missing:
        if name.startswith('__') and name.endswith('__'):
            raise AttributeError(f'module {self.__name__!r} has no attribute {name!r}')
        return Missing(f'{self.__name__}.{name}', self.advice)

    def __iter__(self) -> Iterator:
        return iter(())

    def __call__(self, *args: object, **kwargs: object) -> Missing:
        if self.__name__.endswith('.DrawingSpec'):  # mediapipe's, made on import
            return self
        raise RuntimeError(f'{self.__name__!r} is missing: {self.advice}')
