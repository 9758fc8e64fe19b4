"""Names of released models become files on this machine, or errors that say what to do."""

import hashlib
from pathlib import Path

import pytest
import torch
import yaml

from sesim_mmagic.apis.model_zoo import find_index, list_models, resolve_model
from sesim_mmagic.utils.downloads import cache_path


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    return Path(torch.hub.get_dir(), 'checkpoints')


def entry(name, weights, sha256):
    return {
        'Name': name,
        'In Collection': 'FSeSim',
        'Config': f'configs/fsesim/{name}.py',
        'Metadata': {'SHA256': sha256, 'Iterations': 7},
        'Weights': weights,
        'Results': [{'Task': 'T', 'Dataset': 'D', 'Metrics': {'psnr': 20.5}}],
    }


def write_index(root, *models):
    (root / 'configs/fsesim').mkdir(parents=True, exist_ok=True)
    metafile = root / 'configs/fsesim/metafile.yml'
    metafile.write_text(yaml.safe_dump(dict(Collections=[dict(Name='FSeSim')], Models=[*models])))
    index = root / 'model-index.yml'
    index.write_text('Import:\n- configs/fsesim/metafile.yml\n')
    return index


@pytest.fixture
def files(tmp_path):
    """Two released files on a "server", by name."""
    found = {}
    for name, content in {'fsesim_horse': b'one', 'fsesim_zebra': b'two'}.items():
        path = tmp_path / 'server' / f'{name}_20260101-abcd.pth'
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        found[name] = path
    return found


@pytest.fixture
def index(tmp_path, files):
    return write_index(
        tmp_path,
        *(
            entry(name, path.as_uri(), hashlib.sha256(path.read_bytes()).hexdigest())
            for name, path in files.items()
        ),
    )


def test_models_are_listed(index, files):
    first, second = list_models(index)
    sha256 = hashlib.sha256(b'one').hexdigest()
    assert first == entry('fsesim_horse', files['fsesim_horse'].as_uri(), sha256)
    assert second['Name'] == 'fsesim_zebra'


def test_a_model_is_downloaded_once(index, files, cache):
    path = resolve_model('fsesim_horse', index)
    assert Path(path).parent == cache
    assert Path(path).read_bytes() == b'one'
    files['fsesim_horse'].unlink()
    assert resolve_model('fsesim_horse', index) == path
    assert [p.name for p in cache.iterdir()] == [Path(path).name]


def test_the_beginning_of_a_name_will_do_where_no_other_has_it(index):
    assert resolve_model('fsesim_z', index) == resolve_model('fsesim_zebra', index)
    with pytest.raises(ValueError, match=r"may be any of \['fsesim_horse', 'fsesim_zebra'\]"):
        resolve_model('fsesim', index)


def test_a_whole_name_wins_over_longer_ones(tmp_path, files):
    sums = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files.values()]
    uris = [path.as_uri() for path in files.values()]
    index = write_index(tmp_path, entry('a', uris[0], sums[0]), entry('ab', uris[1], sums[1]))
    assert Path(resolve_model('a', index)).read_bytes() == b'one'


@pytest.mark.parametrize('given', ['missing.pth', 'folder/name', 'https://host/a.pth', '/a/b'])
def test_paths_and_addresses_stay(given):
    assert resolve_model(given, index='/no/index') == given


def test_a_file_wins_over_a_name(index, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path('fsesim_horse').write_bytes(b'mine')
    assert resolve_model('fsesim_horse', index) == 'fsesim_horse'


def test_unknown_names_get_the_nearest(index):
    with pytest.raises(ValueError, match=r"'fsesim_hrose'. The nearest names: \['fsesim_horse"):
        resolve_model('fsesim_hrose', index)


def test_an_empty_index_says_so(tmp_path):
    path = tmp_path / 'model-index.yml'
    path.write_text('Import: []\n')
    assert list_models(path) == []
    with pytest.raises(ValueError, match='has no model yet'):
        resolve_model('anything', path)


def test_a_file_that_travels_with_the_package_is_taken(tmp_path, files, cache):
    shipped = tmp_path / 'models' / files['fsesim_horse'].name
    shipped.parent.mkdir()
    shipped.write_bytes(b'one')
    sha256 = hashlib.sha256(b'one').hexdigest()
    for weights in (f'https://127.0.0.1:1/x/{shipped.name}', f'models/{shipped.name}'):
        index = write_index(tmp_path, entry('fsesim_horse', weights, sha256))
        assert resolve_model('fsesim_horse', index) == str(shipped)
    shipped.write_bytes(b'damaged')
    with pytest.raises(ValueError, match='is not the file that was released.*Install') as error:
        resolve_model('fsesim_horse', index)
    assert sha256 in str(error.value) and str(shipped) in str(error.value)
    shipped.unlink()
    with pytest.raises(FileNotFoundError, match='has no address.*models.*Install.*git restore'):
        resolve_model('fsesim_horse', index)
    assert not cache.exists()


def test_a_download_that_is_another_file_is_refused(tmp_path, files, cache):
    wrong = hashlib.sha256(b'what was released').hexdigest()
    index = write_index(tmp_path, entry('fsesim_horse', files['fsesim_horse'].as_uri(), wrong))
    with pytest.raises(ValueError, match='not the file that was released') as error:
        resolve_model('fsesim_horse', index)
    assert wrong in str(error.value) and hashlib.sha256(b'one').hexdigest() in str(error.value)
    assert list(cache.iterdir()) == []


def test_a_cached_file_that_was_changed_is_refused_and_kept(index):
    path = Path(resolve_model('fsesim_horse', index))
    path.write_bytes(b'changed')
    with pytest.raises(ValueError, match='Delete it') as error:
        resolve_model('fsesim_horse', index)
    for content in (b'changed', b'one'):
        assert hashlib.sha256(content).hexdigest() in str(error.value)
    assert path.read_bytes() == b'changed'


def test_a_model_that_cannot_be_had_says_where_to_put_it(tmp_path, cache):
    for number, address in enumerate(
        ('file:///no/such/model.pth', 'nonsense://host/model.pth', 'http://127.0.0.1:1/model.pth')
    ):
        index = write_index(tmp_path / str(number), entry('gone', address, 'a' * 64))
        with pytest.raises(FileNotFoundError, match='put it at') as error:
            resolve_model('gone', index)
        assert str(cache_path(address, 'a' * 64)) in str(error.value)
        assert list(cache.iterdir()) == []


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('Models: [', 'cannot be read'),
        ('- a list', 'holds no mapping'),
        ('Date: 2026-13-45', 'cannot be read: month must be'),
        ('[' * 5000, 'cannot be read'),
        ('Models: 3', 'Models should be a list, but is 3'),
        ('Models: [a]', r"Models\[0\] should be a mapping, but is 'a'"),
        ('Models: [{Name: 3}]', r'Models\[0\]\.Name should be text, but is 3'),
        ('Collections: {Name: a}', 'Collections should be a list'),
        ('Models: [{Name: a}]', r"': Models\[0\] lacks In Collection"),
        (yaml.safe_dump(dict(Models=[dict(entry('a', 'b', 'c'), Metadata=3)])), 'Metadata should'),
        (yaml.safe_dump(dict(Models=[dict(entry('a', 'b', 'c'), Results=3)])), 'Results should'),
        (yaml.safe_dump(dict(Models=[entry('a', 'b', 123)])), 'SHA256 should be text, but is 123'),
        (yaml.safe_dump(dict(Models=[entry('a', 3, 'c')])), 'Weights should be text, but is 3'),
        (yaml.safe_dump(dict(Models=[entry('a', 'file:///a', '')])), '64 hexadecimal digits'),
        (yaml.safe_dump(dict(Models=[entry('a', 'file:///a', 'a1')])), '64 hexadecimal digits'),
        (yaml.safe_dump(dict(Models=[entry('a', 'a.pth', 'a' * 64)])), 'be the address'),
        (yaml.safe_dump(dict(Models=[entry('a', 'file:///a/..', 'a' * 64)])), 'be the address'),
    ],
)
def test_a_damaged_metafile_is_named(index, text, message):
    metafile = index.parent / 'configs/fsesim/metafile.yml'
    metafile.write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        list_models(index)
    assert str(metafile) in str(error.value) and len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize('text', ['Import: 3', 'Import: [3]', 'Import: a.yml', 'Import: {a: b}'])
def test_an_index_of_another_shape_is_named(index, text):
    index.write_text(text)
    with pytest.raises(ValueError, match='Import.* should be') as error:
        list_models(index)
    assert str(index) in str(error.value)


def test_a_metafile_builds_no_objects(index, tmp_path):
    mark = tmp_path / 'mark'
    index.write_text(f"Import: !!python/object/apply:os.mkdir ['{mark}']\n")
    with pytest.raises(ValueError, match='cannot be read'):
        list_models(index)
    assert not mark.exists()


def test_two_models_of_one_name_are_an_error(index, files):
    other = index.with_name('other.yml')
    entries = [entry('fsesim_zebra', files['fsesim_horse'].as_uri(), 'a' * 64)]
    other.write_text(yaml.safe_dump(dict(Models=entries)))
    index.write_text(f'{index.read_text()}- other.yml\n')
    with pytest.raises(ValueError, match="has another model 'fsesim_zebra': rename or") as error:
        resolve_model('fsesim_horse', index)
    assert f"'{other}': Models[0]" in str(error.value) and str(index) in str(error.value)


def test_missing_files_are_named(index, tmp_path):
    (tmp_path / 'configs/fsesim/metafile.yml').unlink()
    with pytest.raises(FileNotFoundError, match=r'metafile\.yml'):
        list_models(index)
    with pytest.raises(FileNotFoundError, match='/no/index'):
        list_models('/no/index')


def test_the_environment_names_another_index(index, monkeypatch):
    own = find_index()
    assert own.name == 'model-index.yml' and own != index
    monkeypatch.setenv('SESIM_MMAGIC_MODEL_INDEX', str(index))
    assert find_index() == index
    assert [model['Name'] for model in list_models()] == ['fsesim_horse', 'fsesim_zebra']


def test_the_index_of_the_package_can_be_read():
    for model in list_models():
        assert Path(find_index().parent, model['Config']).is_file()
