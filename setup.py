"""Let configs, models and tools travel as ``sesim_mmagic/.mim``, where mim looks."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from setuptools import setup
from setuptools.command.build import build as _build
from setuptools.command.build_py import build_py as _build_py
from setuptools.command.egg_info import egg_info as _egg_info

ROOT = Path(__file__).resolve().parent
PACKAGE = 'sesim_mmagic'
MIM = ('configs', 'models', 'tools', 'model-index.yml')


def _temporary_folder() -> str:
    folder = tempfile.mkdtemp(prefix=f'{PACKAGE}-build-')
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


class build(_build):
    """Build outside the work tree, which stays clean and lends no stale file to a wheel."""

    def initialize_options(self):
        """Choose a temporary ``build_base``; ``--build-base`` still overrides it."""
        super().initialize_options()
        self.build_base = _temporary_folder()


class egg_info(_egg_info):
    """Keep the metadata on its way into a wheel out of the work tree as well."""

    def finalize_options(self):
        """Choose a temporary ``egg_base`` for wheels; a source distribution packs its own."""
        if self.egg_base is None and 'bdist_wheel' in self.distribution.commands:
            self.egg_base = _temporary_folder()
        super().finalize_options()


class build_py(_build_py):
    """Add ``.mim``: copies in a wheel, links in an editable installation."""

    def run(self):
        """Build the modules, then ``.mim``."""
        super().run()
        editable = getattr(self, 'editable_mode', False)
        target = (ROOT if editable else Path(self.build_lib)) / PACKAGE / '.mim'
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for name in MIM:
            _link_or_copy(ROOT / name, target / name, link=editable)


def _link_or_copy(source: Path, target: Path, link: bool) -> None:
    if link:
        try:
            target.symlink_to(os.path.relpath(source, target.parent))
            return
        except OSError:  # a file system without links gets copies
            pass
    if source.is_dir():
        ignored = shutil.ignore_patterns('__pycache__', '*.py[cod]')
        shutil.copytree(source, target, ignore=ignored)
    else:
        shutil.copy2(source, target)


setup(cmdclass={'build': build, 'build_py': build_py, 'egg_info': egg_info})
