"""What several tests of tools share."""

import importlib
import sys
from pathlib import Path

import pytest
from mmengine.registry import DefaultScope

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='module')
def call():
    """Calls the ``main`` of a tool in this process."""
    with pytest.MonkeyPatch.context() as patch:
        for folder in ('benchmark', 'analysis'):
            patch.syspath_prepend(str(ROOT / 'tools' / folder))

        def run(name, *argv):
            patch.setattr(sys, 'argv', [name, *map(str, argv)])
            importlib.import_module(name).main()

        yield run
    DefaultScope._instance_dict.clear()
