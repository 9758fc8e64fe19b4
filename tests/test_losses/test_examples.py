"""Every public function and loss has an example in its docstring, and the examples run."""

import doctest
import importlib
import pkgutil

import pytest

from sesim_mmagic import functional, losses

MODULES = [
    module.name
    for package in (functional, losses)
    for module in pkgutil.iter_modules(package.__path__, f'{package.__name__}.')
]


@pytest.mark.parametrize('name', MODULES)
def test_examples_run(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0


@pytest.mark.parametrize('package', [functional, losses])
def test_everything_public_has_an_example(package):
    public = {name: getattr(package, name) for name in package.__all__}
    public.pop('LearnedStructureLoss', None)  # an LSeSimLoss shows how it learns
    missing = [name for name, value in public.items() if '>>> ' not in value.__doc__]
    assert public and not missing
