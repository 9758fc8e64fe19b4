"""Packaging of sesim_mmagic; configs and tools travel as ``sesim_mmagic/.mim``, where mim looks."""

import atexit
import os
import re
import shutil
import tempfile
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build import build as _build
from setuptools.command.build_py import build_py as _build_py
from setuptools.command.egg_info import egg_info as _egg_info

ROOT = Path(__file__).resolve().parent
PACKAGE = 'sesim_mmagic'
MIM = ('configs', 'tools', 'model-index.yml')


def read(name: str) -> str:
    """Text of a file of the repository; empty if a slim checkout lacks it."""
    path = ROOT / name
    return path.read_text(encoding='utf-8') if path.is_file() else ''


def version() -> str:
    """Version without importing the package, which would want its dependencies."""
    return re.search(r"^__version__ = '(.+)'$", read(f'{PACKAGE}/version.py'), re.M).group(1)


def requirements(name: str) -> list[str]:
    """Requirements of ``requirements/<name>.txt`` without comments."""
    lines = (line.split('#')[0].strip() for line in read(f'requirements/{name}.txt').splitlines())
    return [line for line in lines if line]


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


setup(
    name=PACKAGE,
    version=version(),
    description='Spatially-correlative losses (FSeSim, LSeSim) for image translation with MMagic',
    long_description=read('README.md'),
    long_description_content_type='text/markdown',
    author='sesim_mmagic contributors',
    license='Apache-2.0',
    keywords='computer vision, image translation, GAN, self-similarity, OpenMMLab, MMagic',
    classifiers=[
        'Development Status :: 4 - Beta',
        'License :: OSI Approved :: Apache Software License',
        'Operating System :: OS Independent',
        'Programming Language :: Python :: 3',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Programming Language :: Python :: 3.13',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
        'Topic :: Scientific/Engineering :: Image Processing',
    ],
    packages=find_packages(include=[PACKAGE, f'{PACKAGE}.*']),
    # MMEngine 0.10 needs pkgutil.find_loader, gone in Python 3.14, whenever it builds an optimizer.
    python_requires='>=3.10,<3.14',
    # mmcv or mmcv-lite is the user's choice: requiring either would put one over the other.
    install_requires=requirements('runtime'),
    extras_require={
        'lite': ['mmcv-lite>=2.0.0,<2.2.0'],
        'full': ['mmcv>=2.0.0,<2.2.0'],
        # Export and its check; the page to try a model; mim, which finds and fetches models.
        'export': ['torch>=2.9', 'onnx>=1.17', 'onnxscript>=0.5', 'onnxruntime>=1.17'],
        'demo': ['nicegui>=3.0'],
        'mim': ['openmim>=0.3.9'],
        'tests': requirements('tests'),
    },
    package_data={'': ['*.jinja']},
    cmdclass={'build': build, 'build_py': build_py, 'egg_info': egg_info},
    zip_safe=False,
)
