import pytest
import torch
from mmengine.fileio import get_file_backend
from mmengine.runner import save_checkpoint

from sesim_mmagic.engine import files


def test_write_replaces_and_leaves_nothing_behind(tmp_path):
    path = tmp_path / 'new' / 'file.txt'
    files.write_atomically(path, 'first')
    files.write_atomically(path, b'second')
    assert path.read_text() == 'second'
    assert list(path.parent.iterdir()) == [path]


def test_failed_write_keeps_the_previous_file(tmp_path, monkeypatch):
    path = tmp_path / 'file.txt'
    files.write_atomically(path, 'first')

    def disk_full(descriptor):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(files.os, 'fsync', disk_full)
    with pytest.raises(OSError, match='No space left'):
        files.write_atomically(path, 'second')
    assert path.read_text() == 'first'


def test_backend_writes_checkpoints(tmp_path, monkeypatch):
    written = []
    original = files.write_atomically
    monkeypatch.setattr(
        files,
        'write_atomically',
        lambda path, content: written.append(path) or original(path, content),
    )
    path = str(tmp_path / 'checkpoint.pth')
    backend_args = dict(backend='AtomicLocalBackend')
    save_checkpoint({'x': torch.ones(1)}, path, backend_args=backend_args)
    assert written == [path]
    assert torch.load(path, weights_only=True) == {'x': torch.ones(1)}
    get_file_backend(path, backend_args=backend_args).put_text('ä', str(tmp_path / 'text'))
    assert (tmp_path / 'text').read_text(encoding='utf-8') == 'ä'


@pytest.mark.parametrize('noted', ['{dir}/iter_2.pth', '/moved/away/iter_2.pth', 'iter_2.pth\n'])
def test_last_checkpoint_is_found(tmp_path, noted):
    (tmp_path / 'iter_2.pth').touch()
    (tmp_path / 'last_checkpoint').write_text(noted.format(dir=tmp_path))
    assert files.last_checkpoint(tmp_path) == str(tmp_path / 'iter_2.pth')


def test_no_last_checkpoint(tmp_path):
    assert files.last_checkpoint(tmp_path) is None
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'gone.pth'))
    assert files.last_checkpoint(tmp_path) is None
