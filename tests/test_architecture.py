"""The arrows of the package point one way, and importing it is cheap."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import sesim_mmagic

ROOT = Path(sesim_mmagic.__file__).parent
PACKAGE = ROOT.name
MODULES = sorted(ROOT.rglob('*.py'))
# Folders and files that may know the host, MMagic.
MMAGIC_ROOMS = {'translators', 'evaluation', 'apis', 'datasets', 'registry', 'compat'}
# What each room of the package may import from the others.
ARROWS = {
    'version': set(),
    'compat': {'utils'},
    'registry': set(),
    'utils': set(),
    'functional': set(),
    'networks': {'functional', 'registry', 'utils'},
    'losses': {'functional', 'registry', 'networks', 'utils'},
    'translators': {'functional', 'registry', 'networks', 'losses', 'utils'},
    'converters': {'registry', 'networks', 'losses', 'engine', 'utils', 'version'},
    'datasets': {'registry', 'utils'},
    'evaluation': {'functional', 'registry', 'networks', 'datasets', 'utils'},
    'engine': {'registry', 'datasets', 'translators', 'utils'},
    'apis': {
        'registry',
        'networks',
        'losses',
        'datasets',
        'evaluation',
        'engine',
        'translators',
        'utils',
        'version',
    },
    '__init__': {'compat', 'version'},
}


def name_of(path):
    """Dotted name of a module and of the package that relative imports start from."""
    parts = [PACKAGE, *path.relative_to(ROOT).with_suffix('').parts]
    if parts[-1] == '__init__':
        return '.'.join(parts[:-1]), '.'.join(parts[:-1])
    return '.'.join(parts), '.'.join(parts[:-1])


def room_of(module):
    """First part of a module's name below the package: its room."""
    return (module.split('.') + ['__init__'])[1]


def imports(path, top_level_only=False):
    """Absolute dotted names that a file imports, ``from`` imports with what they name."""
    _, package = name_of(path)
    tree = ast.parse(path.read_text(encoding='utf-8'))
    inside = {
        node
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if top_level_only and node in inside:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ''
            if node.level:
                anchor = package.split('.')[: len(package.split('.')) - node.level + 1]
                base = '.'.join(anchor + ([base] if base else []))
            yield from (f'{base}.{alias.name}' for alias in node.names)


def foreign(path):
    """Top-level packages a file imports, without the standard library and this package."""
    tops = {name.split('.')[0] for name in imports(path)}
    return tops - set(sys.stdlib_module_names) - {PACKAGE, '__future__'}


def by_room(*rooms):
    return [path for path in MODULES if room_of(name_of(path)[0]) in rooms]


def test_there_is_something_to_check():
    assert {room_of(name_of(path)[0]) for path in MODULES} <= set(ARROWS)
    assert by_room('functional') and by_room('losses') and by_room('networks')


@pytest.mark.parametrize('path', MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_arrows_point_one_way(path):
    room = room_of(name_of(path)[0])
    own = {room_of(name) for name in imports(path) if name.split('.')[0] == PACKAGE}
    allowed = ARROWS[room] | {room, '__init__'}
    assert own <= allowed, f'{room} imports {sorted(own - allowed)}'


@pytest.mark.parametrize('path', by_room('functional'), ids=lambda path: path.name)
def test_functional_is_torch_and_nothing_else(path):
    assert foreign(path) <= {'torch'}


@pytest.mark.parametrize('path', by_room('utils'), ids=lambda path: path.name)
def test_utils_know_nothing_of_openmmlab(path):
    assert foreign(path) <= {'torch', 'numpy', 'PIL', 'cv2'}


@pytest.mark.parametrize('path', by_room('losses', 'networks'), ids=lambda path: path.name)
def test_losses_and_networks_do_not_know_mmagic(path):
    readers = {'timm_models.py': {'timm'}, 'state_dicts.py': {'safetensors'}}
    allowed = {'torch', 'torchvision', 'numpy', 'mmengine'} | readers.get(path.name, set())
    assert foreign(path) <= allowed


@pytest.mark.parametrize('path', MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_some_rooms_know_mmagic(path):
    if room_of(name_of(path)[0]) not in MMAGIC_ROOMS:
        assert not foreign(path) & {'mmagic', 'mmcv'}


def test_no_module_imports_itself_in_a_circle():
    names = {name_of(path)[0]: path for path in MODULES}

    def resolve(name):
        """The module behind ``package.module`` or ``package.module.attribute``."""
        while name and name not in names:
            name = name.rpartition('.')[0]
        return name

    graph = {
        module: {resolve(name) for name in imports(path, top_level_only=True)} - {'', module}
        for module, path in names.items()
    }
    done, path = set(), []

    def visit(module):
        assert module not in path, ' -> '.join([*path[path.index(module) :], module])
        if module not in done:
            path.append(module)
            for needed in graph[module]:
                visit(needed)
            done.add(path.pop())

    for module in graph:
        visit(module)


def test_nothing_outside_compat_sets_attributes_of_imported_modules():
    for path in MODULES:
        if room_of(name_of(path)[0]) == 'compat':
            continue
        tree = ast.parse(path.read_text(encoding='utf-8'))
        modules = {
            (alias.asname or alias.name).split('.')[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
        }
        targets = [
            target
            for node in ast.walk(tree)
            if isinstance(node, (ast.Assign, ast.AugAssign))
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        ]
        for target in targets:
            while isinstance(target, ast.Attribute):
                target = target.value
                root = target.id if isinstance(target, ast.Name) else ''
                assert root not in modules, f'{path}:{target.lineno} patches {root}'


def test_importing_the_package_is_light(python, tmp_path):
    script = """
import sys, time
import torch
start = time.process_time()
import sesim_mmagic
print(time.process_time() - start)
print(*sorted({'mmagic', 'mmengine', 'mmcv', 'cv2', 'torchvision'} & set(sys.modules)))
"""
    run = subprocess.run(
        [python, '-c', script], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    seconds, heavy = run.stdout.split('\n')[:2]
    assert heavy == '', f'imported with the package: {heavy}'
    assert float(seconds) < 0.5
