import torch
from mmengine.fileio import get_file_backend
from mmengine.runner import save_checkpoint

from sesim_mmagic.engine import storage


def test_backend_writes_checkpoints(tmp_path, monkeypatch):
    written = []
    original = storage.write_atomically
    monkeypatch.setattr(
        storage,
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
