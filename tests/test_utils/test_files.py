import pytest

from sesim_mmagic.utils import files


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
