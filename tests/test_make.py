"""`make` runs the Pythons that are there, takes the newest with a tested set, and mixes none."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / 'requirements/python.sh'
#: What the script and the Makefile call, beside Pythons.
COMMANDS = ('sh', 'grep', 'head', 'sed', 'sort', 'cp', 'mkdir')
#: As much of an interpreter as is asked: its version, whether it makes environments, to make one.
INTERPRETER = """#!/bin/sh
case "$*" in
    *version_info*) echo {version} ;;
    *ensurepip*) {makes_environments} ;;
    *"-m venv"*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
esac
"""


@pytest.fixture
def machine(tmp_path):
    """A PATH without Python; ``add`` puts interpreters there, ``make`` makes an environment."""
    return Machine(tmp_path)


class Machine:
    def __init__(self, folder):
        self.folder = folder
        self.venv = folder / 'venv'
        (folder / 'bin').mkdir()
        for command in COMMANDS:
            (folder / 'bin' / command).symlink_to(shutil.which(command))

    def add(self, name, version=None, makes_environments=True, folder='bin'):
        path = self.folder / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = '#!/bin/sh\necho "is not switched on" >&2; exit 127\n'
        if version:
            answer = 'true' if makes_environments else 'false'
            text = INTERPRETER.format(version=version, makes_environments=answer)
        path.write_text(text)
        path.chmod(0o755)
        return path

    def run(self, *command, folders=''):
        environment = {
            'PATH': f'{self.folder}/bin',
            'PYTHON_FOLDERS': f'{self.folder}/{folders}' if folders else '',
        }
        arguments = [str(argument) for argument in command]
        return subprocess.run(
            arguments, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
        )

    def make(self, python='', **kwargs):
        """The outcome of ``make python``, on which everything else depends."""
        settings = [f'VENV={self.venv}', f'PYTHON={python}']
        return self.run(shutil.which('make'), '--no-print-directory', 'python', *settings, **kwargs)

    def version(self):
        return self.run(self.venv / 'bin/python', 'version_info').stdout.strip()


def test_the_newest_supported_one_that_runs_is_taken(machine):
    machine.add('python3.13')  # an empty shim
    machine.add('python3.9', '3.9')
    machine.add('python3.14', '3.14')
    machine.add('python3.11', '3.11')
    machine.add('python3.12', '3.12', makes_environments=False)  # Debian without python3-venv
    machine.add('python3', '3.14')
    made = machine.make()
    assert made.returncode == 0, made.stderr
    assert 'Python 3.11, ' in made.stdout
    assert machine.version() == '3.11'
    again = machine.make()
    assert (again.returncode, again.stdout, again.stderr) == (0, '', '')


def test_a_name_without_a_version_and_other_folders_count(machine):
    machine.add('python3.11', '3.11')
    machine.add('python3', '3.12')
    machine.add('python3.13')
    assert machine.run('sh', SCRIPT, 'list').stdout.split() == [
        '3.12', f'{machine.folder}/bin/python3', '3.11', f'{machine.folder}/bin/python3.11',
    ]  # fmt: skip
    beside = machine.add('python3.13', '3.13', folder='versions/3.13.0/bin')
    listed = machine.run('sh', SCRIPT, 'list', folders='versions/*/bin').stdout
    assert listed.splitlines()[0] == f'3.13 {beside}'
    assert machine.make('python3.13', folders='versions/*/bin').returncode == 0
    assert machine.version() == '3.13', 'PYTHON names one that does not run on the PATH'


@pytest.mark.parametrize('version', ['3.9', '3.14', '3.13t', 'pypy3.10', None])
def test_without_a_supported_one_all_that_was_tried_is_named(machine, version):
    path = machine.add('python3', version)
    shim = machine.add('python3.12')
    for made in (machine.make(), machine.make('python3'), machine.make(path)):
        assert made.returncode != 0 and not machine.venv.exists()
        assert 'Python 3.13, 3.12, 3.11, 3.10' in made.stderr
        reason = f'is Python {version}' if version else 'does not run as Python 3'
        assert f'{path} {reason}' in made.stderr
    assert f'{shim} does not run as Python 3' in machine.make().stderr


def test_python_without_venv_says_what_to_install(machine):
    machine.add('python3', '3.13', makes_environments=False)
    assert 'apt install python3.13-venv' in machine.make().stderr


def test_an_environment_of_another_python_is_kept_and_never_mixed(machine):
    machine.add('python3.11', '3.11')
    newer = machine.add('python3.12', '3.12')
    assert machine.make('python3.11').returncode == 0
    assert machine.make().returncode == 0, 'a newer one on the PATH changes nothing'
    for name in (newer, 'python3.12'):
        refused = machine.make(name)
        assert refused.returncode != 0
        assert f'{machine.venv} holds Python 3.11, PYTHON={name} is Python 3.12' in refused.stderr
        assert f'rm -r {machine.venv}' in refused.stderr
    assert machine.version() == '3.11'
    machine.add('python', '3.9', folder='venv/bin')
    assert 'holds Python 3.9' in machine.make().stderr
    (machine.venv / 'bin/python').unlink()
    (machine.venv / 'bin/python').symlink_to('/removed/with/the/system/python')
    assert 'does not run any more' in machine.make().stderr


def test_this_python_is_found(python):
    found = dict(os.environ, PYTHON_FOLDERS=str(Path(python).resolve().parent))
    listed = subprocess.run(['sh', SCRIPT, 'list'], env=found, capture_output=True, text=True)
    assert f'3.{sys.version_info.minor}' in listed.stdout.split()[::2]


MAKE = """#!/bin/sh
echo "make $*" >>"$LOG"
case "$*" in $FAILING) exit 1 ;; esac
"""


@pytest.fixture
def ci(machine, tmp_path):
    """A function that runs CI's script where `make` only notes what it is asked for."""
    for folder in ('.ci', 'requirements'):
        shutil.copytree(ROOT / folder, tmp_path / 'checkout' / folder)
    for command in ('bash', 'cut', 'dirname', 'rm', 'tail'):
        (tmp_path / 'bin' / command).symlink_to(shutil.which(command))
    for name, text in (('make', MAKE), ('sleep', '#!/bin/sh\n')):
        path = tmp_path / 'bin' / name
        path.write_text(text)
        path.chmod(0o755)

    def run(failing='nothing'):
        environment = dict(PATH=f'{tmp_path}/bin', PYTHON_FOLDERS='', LOG=tmp_path / 'log')
        (tmp_path / 'log').write_text('')
        ended = subprocess.run(
            ['bash', tmp_path / 'checkout/.ci/run'], env=environment | {'FAILING': failing},
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        return ended, (tmp_path / 'log').read_text().splitlines()

    return run


def test_ci_tests_the_oldest_and_the_newest_beside_the_whole_suite(machine, ci):
    paths = {v: machine.add(f'python3.{v}', f'3.{v}') for v in (10, 11, 12, 13)}
    ended, asked = ci()
    assert ended.returncode == 0, ended.stderr
    settings = {v: f'VENV=.venv-ci-3.{v} PYTHON={path}' for v, path in paths.items()}
    assert asked == [
        f'make install {settings[10]}',
        f'make test TESTS=-m quick {settings[10]}',
        f'make install {settings[13]}',
        f'make test TESTS=-m quick {settings[13]}',
        f'make install {settings[11]}',
        f'make lint {settings[11]}',
        f'make test TESTS=-m slow {settings[11]}',
        f'make test {settings[11]}',
    ]
    assert 'Python 3.12: not run (neither the oldest nor the newest)' in ended.stdout


def test_ci_says_which_python_is_missing_and_takes_what_is_there(machine, ci):
    machine.add('python3', '3.12')
    machine.add('python3.13')
    ended, asked = ci()
    assert ended.returncode == 0, ended.stderr
    assert [line.split(' VENV')[0] for line in asked] == [
        'make install', 'make lint', 'make test TESTS=-m slow', 'make test',
    ]  # fmt: skip
    for version in ('3.10', '3.11', '3.13'):
        assert f'Python {version}: not run (no interpreter found)' in ended.stdout
    assert 'Python 3.12: the whole suite' in ended.stdout


@pytest.mark.parametrize(
    ('failing', 'reason'),
    [
        ('install*3.13*', 'Python 3.13: failed: its tested set could not be installed'),
        ('test*quick*3.13*', 'Python 3.13: failed'),
        ('lint*', 'make lint: failed'),
        ('test*slow*', 'slow tests: failed'),
        ('test*3.11*', ''),
    ],
)
def test_ci_fails_with_any_of_them_after_the_rest_has_run(machine, ci, failing, reason):
    for version in ('3.10', '3.11', '3.13'):
        machine.add(f'python{version}', version)
    ended, asked = ci(failing)
    assert ended.returncode != 0
    assert asked[-1].startswith('make test VENV=.venv-ci-3.11')
    assert not reason or reason in ended.stdout.splitlines()[-1]
    if failing.startswith('install'):
        assert sum('make install VENV=.venv-ci-3.13' in line for line in asked) == 3, 'two retries'


def test_ci_fails_without_a_python(machine, ci):
    machine.add('python3', '3.9')
    assert ci()[0].returncode != 0
