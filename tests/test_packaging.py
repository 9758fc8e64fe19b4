"""The wheel holds the package, its configs, models and tools, and leaves mmcv to the user."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = shutil.ignore_patterns(
    '.*', '__pycache__', '*.egg-info', 'build', 'dist', 'data', 'work_dirs', '*.pth'
)


@pytest.fixture(scope='module')
def checkout(tmp_path_factory):
    """A copy of the work tree, so that building cannot touch it; a config at least is in it."""
    copy = tmp_path_factory.mktemp('packaging') / 'checkout'
    shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
    if not (copy / 'setup.py').is_file():
        pytest.skip('not a source checkout')
    (copy / 'configs' / 'fsesim').mkdir(parents=True, exist_ok=True)
    (copy / 'configs' / 'fsesim' / 'travels.py').write_text('travels = True\n')
    (copy / 'models').mkdir(exist_ok=True)
    (copy / 'models' / 'travels.pth').touch()
    (copy / 'tools' / '__pycache__').mkdir(exist_ok=True)
    (copy / 'tools' / '__pycache__' / 'stale.pyc').touch()
    return copy


def pip(python, *arguments, **kwargs):
    run = subprocess.run(
        [python, '-m', 'pip', '--disable-pip-version-check', *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        **kwargs,
    )
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-2000:]


def files(folder):
    return {path.relative_to(folder) for path in folder.rglob('*')}


@pytest.fixture(scope='module')
def wheel(checkout, tmp_path_factory, python):
    target = tmp_path_factory.mktemp('wheel')
    before = files(checkout)
    pip(python, 'wheel', checkout, '--no-deps', '--no-build-isolation', '--wheel-dir', target)
    assert files(checkout) == before, 'building a wheel leaves the work tree as it was'
    (path,) = target.glob('*.whl')
    with zipfile.ZipFile(path) as archive:
        yield archive


@pytest.fixture(scope='module')
def metadata(wheel):
    (name,) = (name for name in wheel.namelist() if name.endswith('.dist-info/METADATA'))
    return Parser().parsestr(wheel.read(name).decode())


def test_configs_models_and_tools_travel_where_mim_looks(wheel, checkout):
    names = set(wheel.namelist())
    assert 'sesim_mmagic/.mim/model-index.yml' in names
    assert 'sesim_mmagic/.mim/configs/fsesim/travels.py' in names
    for folder in ('configs', 'models', 'tools'):
        for path in (checkout / folder).rglob('*'):
            if path.is_file() and '__pycache__' not in path.parts:
                assert f'sesim_mmagic/.mim/{path.relative_to(checkout)}' in names


def test_every_module_travels_and_nothing_else(wheel):
    names = set(wheel.namelist())
    sources = {
        str(path.relative_to(ROOT))
        for path in (ROOT / 'sesim_mmagic').rglob('*.py')
        if '.mim' not in path.parts
    }
    assert sources <= names
    assert {name.split('/')[0].partition('-')[0] for name in names} == {'sesim_mmagic'}
    assert not any('__pycache__' in name or name.endswith('.pyc') for name in names)


def test_version_is_the_package_s(metadata):
    import sesim_mmagic

    assert metadata['Version'] == sesim_mmagic.__version__


def test_licences_of_code_and_models_travel(wheel, metadata):
    assert metadata['License-Expression'] == 'Apache-2.0 AND CC-BY-SA-4.0'
    names = wheel.namelist()
    for file in metadata.get_all('License-File'):
        assert any(name.endswith(f'.dist-info/licenses/{file}') for name in names)
    assert set(metadata.get_all('License-File')) == {'LICENSE', 'docs/LICENSES.md'}


def test_mmcv_is_the_user_s_choice(metadata):
    required = metadata.get_all('Requires-Dist')
    extras = {'lite', 'full', 'tests', 'export', 'demo', 'mim', 'weights', 'data', 'docs'}
    assert set(metadata.get_all('Provides-Extra')) == extras
    always = [r for r in required if 'extra ==' not in r]
    assert any(r.startswith('mmagic') for r in always)
    assert not any(r.startswith('mmcv') for r in always)
    of_mmcv = sorted(r.split('<')[0] for r in required if r.startswith('mmcv'))
    assert of_mmcv == ['mmcv', 'mmcv-lite']
    for extra, package in (('lite', 'mmcv-lite'), ('full', 'mmcv')):
        (found,) = (r for r in required if f'extra == "{extra}"' in r)
        assert found.split('<')[0] == package


def installed_releases():
    """Versions by name; what setuptools carries inside, for itself, is left out."""
    found = importlib.metadata.distributions(path=[sysconfig.get_path('purelib')])
    return {canonicalize_name(d.metadata['Name']): d.version for d in found}


def release(requirement, releases):
    """Whether ``releases``, versions by name, hold one that the requirement allows."""
    found = releases.get(canonicalize_name(requirement.name))
    return found is not None and requirement.specifier.contains(found, prereleases=True)


@pytest.mark.quick
def test_this_environment_satisfies_the_declared_bounds(metadata):
    installed = installed_releases()
    for line in metadata.get_all('Requires-Dist'):
        requirement = Requirement(line)
        if requirement.marker is None:
            assert release(requirement, installed), line


def pinned(path):
    """Versions by name of a tested set, which holds nothing but versions."""
    pins = {}
    for line in path.read_text().splitlines():
        if not line.startswith('#'):
            name, separator, version = line.partition('==')
            assert separator and not set(version) & set('/@; '), line
            pins[canonicalize_name(name)] = version
    return pins


SETS = sorted((ROOT / 'requirements').glob('constraints-*.txt'))


@pytest.mark.parametrize('path', SETS, ids=lambda path: path.stem)
def test_a_tested_set_pins_every_requirement(path, metadata):
    pins = pinned(path)
    for line in metadata.get_all('Requires-Dist'):
        requirement = Requirement(line)
        if not {'full', 'docs'} & set(re.findall(r'\w+', str(requirement.marker))):
            assert release(requirement, pins), line
    held_back = (ROOT / 'requirements/held_back.txt').read_text().splitlines()
    for line in held_back:
        if not line.startswith('#'):
            assert release(Requirement(line.split('#')[0].strip()), pins), line
    # They write the same files, so that two releases would be mixed.
    names = ('opencv-python', 'opencv-python-headless', 'opencv-contrib-python')
    assert len({pins[name] for name in names}) == 1


def test_every_tested_set_is_of_a_supported_python_and_none_is_missing(metadata):
    tested = {path.stem.partition('-')[2] for path in SETS}
    prefix = 'Programming Language :: Python :: 3.'
    named = [c for c in metadata.get_all('Classifier') if c.startswith(prefix)]
    assert tested == {c.rpartition(' ')[2] for c in named}
    supported = SpecifierSet(metadata['Requires-Python'])
    assert tested == {f'3.{minor}' for minor in range(30) if f'3.{minor}' in supported}


@pytest.mark.quick
def test_make_install_puts_in_place_the_tested_set_and_nothing_else():
    stamp = Path(sys.prefix, 'installed')
    tested = ROOT / f'requirements/constraints-3.{sys.version_info.minor}.txt'
    if not stamp.is_file() or stamp.read_bytes() != tested.read_bytes():
        pytest.skip('not an environment that `make install` made of this tested set')
    installed = installed_releases()
    del installed['sesim-mmagic']
    pins = pinned(tested)
    assert {name: installed.get(name) for name in pins} == pins
    if 'CI' in os.environ:  # elsewhere somebody may have added a tool of theirs
        assert set(installed) == set(pins)


def test_editable_installation_links_configs_and_tools(checkout, tmp_path, python):
    copy = tmp_path / 'checkout'
    shutil.copytree(checkout, copy)
    # What `pip install -e .` asks for, without installing over this environment's own.
    build = f"from setuptools import build_meta; build_meta.build_editable('{tmp_path}')"
    run = subprocess.run([python, '-c', build], cwd=copy, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    mim = copy / 'sesim_mmagic' / '.mim'
    assert (mim / 'configs' / 'fsesim' / 'travels.py').read_text() == 'travels = True\n'
    assert (mim / 'configs').is_symlink() and (mim / 'configs').resolve() == copy / 'configs'
    assert (mim / 'tools').resolve() == copy / 'tools'
    assert (mim / 'model-index.yml').resolve() == copy / 'model-index.yml'
