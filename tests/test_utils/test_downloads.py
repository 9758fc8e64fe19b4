"""Files from an address: told apart, complete, or not there."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from sesim_mmagic.utils.checkpoints import read_weights
from sesim_mmagic.utils.downloads import cache_path, cached_download, download


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    return Path(torch.hub.get_dir(), 'checkpoints')


@pytest.fixture
def server():
    """Address of a server, and what it gives: bytes by path, and how many of them it sends."""
    files, sent, asked = {}, {}, []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            data = files.get(self.path)
            if data is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header('Content-Length', str(len(data)))
            self.end_headers()
            self.wfile.write(data[: sent.get(self.path)])

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(('127.0.0.1', 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{running.server_port}', files, sent, asked
        running.shutdown()


def checkpoint(folder, value):
    torch.save(dict(w=torch.full((99,), float(value))), folder / 'x.pth')
    return (folder / 'x.pth').read_bytes()


def test_addresses_that_end_alike_are_two_files(server, tmp_path):
    """Work directories of two trainings both hold ``iter_2.pth``."""
    address, files, _, asked = server
    for number in (1, 2):
        files[f'/{number}/iter_2.pth'] = checkpoint(tmp_path, number)
    for number in (1, 2, 1, 2):
        assert read_weights(f'{address}/{number}/iter_2.pth')['w'][0] == number
    assert asked == ['/1/iter_2.pth', '/2/iter_2.pth'], 'each is downloaded once'


def test_queries_and_odd_names_are_told_apart(cache):
    addresses = [
        *(f'https://host/x.pth?version={i}' for i in range(3)),
        *('https://host/', 'https://host', 'https://host/..', 'https://host/a%2F..%2Fb.pth'),
        *('https://host/%00', f'https://host/{"x" * 500}.pth', 'file:///x.pth', 'https://host/#a'),
    ]
    paths = [cache_path(address) for address in addresses]
    assert len(set(paths)) == len(addresses)
    for path in paths:
        assert path.parent == cache and len(path.name) < 200 and path.name[0] != '.'
    assert cache_path('https://host/x.pth', 'a' * 64) != cache_path('https://host/x.pth')


def test_a_connection_that_ends_early_leaves_nothing(server, tmp_path, cache):
    address, files, sent, _ = server
    files['/x.pth'], sent['/x.pth'] = checkpoint(tmp_path, 1), 500
    with pytest.raises(FileNotFoundError, match=r'after 500 of \d+ bytes.*put it at'):
        read_weights(f'{address}/x.pth')
    assert list(cache.iterdir()) == []
    del sent['/x.pth']
    assert read_weights(f'{address}/x.pth')['w'][0] == 1


def test_a_file_that_lies_cut_on_the_server_is_not_kept(server, tmp_path, cache):
    address, files, _, _ = server
    whole = checkpoint(tmp_path, 1)
    files['/x.pth'] = whole[:-500]
    with pytest.raises(ValueError, match="x.pth' cannot be read: it is truncated.*not kept"):
        read_weights(f'{address}/x.pth')
    assert list(cache.iterdir()) == []
    files['/x.pth'] = whole
    assert read_weights(f'{address}/x.pth')['w'][0] == 1


def test_checksums_are_compared_every_time(server, cache):
    address, files, _, _ = server
    files['/x'] = b'content'
    right, wrong = hashlib.sha256(b'content').hexdigest(), 'a' * 64
    with pytest.raises(ValueError, match='is not the file that was released.*not kept'):
        cached_download(f'{address}/x', wrong)
    assert list(cache.iterdir()) == []
    path = cached_download(f'{address}/x', right)
    path.write_bytes(b'changed')
    with pytest.raises(ValueError, match='Delete it to download it again'):
        cached_download(f'{address}/x', right)
    assert path.read_bytes() == b'changed'


def test_what_cannot_be_had_says_where_to_put_it(server, tmp_path):
    address = server[0]
    for url in (f'{address}/none', 'nonsense://host/x', 'http://127.0.0.1:1/x', 'file:///none'):
        with pytest.raises(FileNotFoundError, match='put it at') as error:
            download(url, tmp_path / 'new/x')
        assert url in str(error.value) and '\n' not in str(error.value)
        assert list((tmp_path / 'new').iterdir()) == []


def test_ranks_may_download_at_once(server, tmp_path, cache):
    address, files, _, _ = server
    files['/x.pth'] = checkpoint(tmp_path, 1) + bytes(2**20)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(cached_download(f'{address}/x.pth')))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and {p.read_bytes() for p in found} == {files['/x.pth']}
    assert len(list(cache.iterdir())) == 1
