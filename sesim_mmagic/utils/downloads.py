"""Files from an address, kept on this machine."""

import hashlib
import http.client
import os
import re
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path
from typing import BinaryIO

import torch

_TIMEOUT = 60  # seconds without a byte
_BLOCK = 2**20


def cached_download(url: str, sha256: str | None = None) -> Path:
    """File of an address, downloaded when it is first asked for.

    It lies in the cache of ``torch.hub`` under a name that is made of the whole address and the
    checksum: files of equal names are told apart.

    Args:
        url (str): Address: ``https://``, ``http://`` or ``file://``.
        sha256 (str, optional): Checksum, 64 hexadecimal digits, compared every time. Defaults to
            None: not known.

    Returns:
        Path: The file.

    Raises:
        FileNotFoundError: It cannot be downloaded.
        ValueError: It has another checksum. What was downloaded just now is not kept, what was
            there stays.
    """
    path = cache_path(url, sha256)
    if not path.is_file():
        download(url, path, sha256)
    elif sha256 is not None:
        check_sha256(path, sha256, f"released at '{url}'", 'Delete it to download it again.')
    return path


def cache_path(url: str, sha256: str | None = None) -> Path:
    """Where :func:`cached_download` keeps a file."""
    name = Path(urllib.parse.unquote(urllib.parse.urlsplit(url).path)).name
    name = re.sub(r'[^\w.-]', '_', name)[-100:].lstrip('.') or 'file'
    key = hashlib.sha256(f'{url} {sha256 or ""}'.encode()).hexdigest()[:16]
    return Path(torch.hub.get_dir(), 'checkpoints', f'{Path(name).stem}-{key}{Path(name).suffix}')


def download(url: str, path: str | Path, sha256: str | None = None) -> None:
    """Download a file; it gets its name once it is complete.

    Args:
        url (str): Address.
        path (str | Path): File to write; missing parent folders are created.
        sha256 (str, optional): Checksum or its first digits. Defaults to None: not known.

    Raises:
        FileNotFoundError: It cannot be downloaded, or the connection ended early.
        ValueError: It has another checksum.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Of its own name for each process: ranks may download the same file at once.
    number, partial = tempfile.mkstemp(suffix='.part', dir=path.parent)
    try:
        with os.fdopen(number, 'wb') as file:
            found = _receive(url, file)
        if sha256 is not None and not found.startswith(sha256):
            raise ValueError(
                f"'{url}' is not the file that was released: its sha256 is {found}, expected is "
                f'{sha256}. It was not kept.'
            )
        os.chmod(partial, 0o644)
        os.replace(partial, path)
    except (OSError, http.client.HTTPException) as error:
        raise FileNotFoundError(
            f"'{url}' cannot be downloaded ({error}): fetch it on a machine with access and put "
            f"it at '{path}'."
        ) from None
    finally:
        Path(partial).unlink(missing_ok=True)


def _receive(url: str, file: BinaryIO) -> str:
    """Write what an address holds into a file; return its checksum."""
    request = urllib.request.Request(url, headers={'User-Agent': 'sesim_mmagic'})
    total, digest = 0, hashlib.sha256()
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
        length = response.headers.get('Content-Length', '')
        expected = int(length) if length.isdecimal() else None
        large = expected is not None and expected > 2**24
        with torch.hub.tqdm(total=expected, disable=not large, unit='B', unit_scale=True) as bar:
            while block := response.read(_BLOCK):
                file.write(block)
                digest.update(block)
                total += len(block)
                bar.update(len(block))
    if expected not in (None, total):
        raise OSError(f'the connection ended after {total} of {expected} bytes')
    file.flush()
    os.fsync(file.fileno())
    return digest.hexdigest()


def check_sha256(path: Path, sha256: str, origin: str, advice: str) -> None:
    """Compare a file's checksum, 64 hexadecimal digits; ``ValueError`` if it is another."""
    found = sha256_of(path)
    if found != sha256:
        raise ValueError(
            f"'{path}' is not the file that was {origin}: its sha256 is {found}, expected is "
            f'{sha256}. {advice}'
        )


def sha256_of(path: str | Path) -> str:
    """Checksum of a file, 64 hexadecimal digits."""
    with open(path, 'rb') as file:
        digest = hashlib.sha256()
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
