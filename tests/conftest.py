"""Fixtures that every test may use. Nothing heavy is imported here."""

import itertools
import os
import random
import sys

import numpy as np
import pytest
import torch
from hypothesis import settings
from mmengine.logging import MessageHub
from yapf.yapflib import yapf_api

import sesim_mmagic  # noqa: F401  repairs MMagic, whatever a test file imports first

# MMEngine lays out the text of a config by yapf, eight times a training: half of the time of one of
# a few steps. Unformatted text says the same.
yapf_api.FormatCode = lambda text, **style: (text + '\n', False)

# The suite is to run beside other work; tiny tensors gain nothing from more threads. Where test
# files run side by side, each has one, and so it is where OMP_NUM_THREADS says one: threads that
# wait for a busy core make a step of tiny tensors take 50 times as long.
most_threads = 1 if 'PYTEST_XDIST_WORKER' in os.environ else 2
torch.set_num_threads(min(most_threads, torch.get_num_threads()))

# The same examples each time and everywhere: what fails on one machine fails on every one.
settings.register_profile('repeatable', derandomize=True, deadline=None)
settings.load_profile('repeatable')

_tests = itertools.count()


def pytest_collection_modifyitems(items):
    """Leave out what needs a GPU where there is none, and say so."""
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker('gpu'):
                item.add_marker(pytest.mark.skip(reason='it needs a GPU; PyTorch finds none'))


@pytest.fixture(autouse=True)
def fixed_seeds():
    """Each test starts from the same state of every global generator, whatever ran before it."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def hub():
    """What MMEngine tells the components of a run: empty, whatever ran before this test."""
    return MessageHub.get_instance(f'test {next(_tests)}')


@pytest.fixture(autouse=True)
def proxies_of_this_test(monkeypatch):
    """``urllib`` keeps the proxies of its first request: those of one test are not the next's.

    Servers of tests run on this machine, for which no proxy is asked.
    """
    monkeypatch.setattr('urllib.request._opener', None)
    monkeypatch.setenv('no_proxy', '127.0.0.1,::1')


@pytest.fixture
def applied():
    """The list of applied repairs of MMagic, empty for the length of one test."""
    from sesim_mmagic import compat

    kept = list(compat.applied)
    compat.applied.clear()
    yield compat.applied
    compat.applied[:] = kept


@pytest.fixture
def no_default_scope():
    """Run without MMEngine's default scope, which Runners of earlier tests leave behind."""
    from mmengine.registry import DefaultScope

    kept = dict(DefaultScope._instance_dict)
    DefaultScope._instance_dict.clear()
    yield
    DefaultScope._instance_dict.clear()
    DefaultScope._instance_dict.update(kept)


@pytest.fixture
def picture_folders(tmp_path):
    """A function that writes ``<folder>/<i>.png``, random RGB pictures, and returns the root."""
    from PIL import Image

    def write(folders=('trainA', 'trainB', 'testA', 'testB'), count=2, size=(32, 32)):
        generator = np.random.default_rng(0)
        for folder in folders:
            (tmp_path / 'pictures' / folder).mkdir(parents=True, exist_ok=True)
            for i in range(count):
                pixels = generator.integers(0, 256, (*size, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / 'pictures' / folder / f'{i}.png')
        return tmp_path / 'pictures'

    return write


@pytest.fixture(scope='module')
def demo_models(tmp_path_factory):
    """Folder of models and pictures to try on the demo page; MMEngine's scope is put back."""
    from mmengine.registry import DefaultScope

    from tests.test_tools.web_demo_models import write_models

    yield write_models(tmp_path_factory.mktemp('web_demo'))
    DefaultScope._instance_dict.clear()


@pytest.fixture(scope='session')
def python():
    """Path of the interpreter, for tests that need a process of their own."""
    return sys.executable
