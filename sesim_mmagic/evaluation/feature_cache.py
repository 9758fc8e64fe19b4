"""Features of pictures by their content."""

import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import print_log

from .feature_networks import FeatureNetwork

BATCH_SIZE = 32  # pictures at once through the network


def picture_digest(picture: np.ndarray) -> str:
    """Digest of the pixels of an 8-bit picture (H, W, 3)."""
    content = hashlib.sha256(repr(picture.shape).encode())
    content.update(np.ascontiguousarray(picture))
    return content.hexdigest()


class FeatureCache:
    """Features of a network, kept for pictures that come again.

    What is kept is found by the network's weights and settings and by the picture's pixels, not by
    a file's name: whoever changes a picture or the weights gets new features.

    Args:
        network (FeatureNetwork): The network.
        device (str): Where it runs.
        folder (str | Path, optional): Where features are also kept over runs, one file of 8 KB
            (2048 features) a picture. Several processes may use it at the same time; a damaged
            file is computed anew. Defaults to None: they are kept in memory alone.
    """

    def __init__(
        self, network: FeatureNetwork, device: str, folder: str | Path | None = None
    ) -> None:
        self.network = network
        self.device = device
        self.folder = folder
        self._root: Path | None = None
        self._kept: dict[str, np.ndarray] = {}
        self._ready = False

    def prepare(self) -> None:
        """Read the weights, and bring them to the device; once."""
        if self._ready:
            return
        self.network.init_weights()
        if self.folder is not None:
            self._root = Path(self.folder) / self.network.identity()
            self._root.mkdir(parents=True, exist_ok=True)
        self.network.to(self.device)
        self._ready = True

    def compute(self, pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Features of each picture, without remembering them.

        Args:
            pictures (Sequence[np.ndarray]): RGB, uint8, (H, W, 3); those of equal size go through
                the network together.

        Returns:
            list[np.ndarray]: A vector (C,), float32, for each picture.
        """
        self.prepare()
        features: list = [None] * len(pictures)
        for numbers in _equal_sizes(pictures):
            batch = np.stack([pictures[i] for i in numbers]).transpose(0, 3, 1, 2)
            vectors = self.network(torch.from_numpy(np.ascontiguousarray(batch))).cpu().numpy()
            for i, vector in zip(numbers, vectors, strict=True):
                features[i] = vector
        return features

    def __call__(self, pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
        """As :meth:`compute`, but pictures that were here before are looked up."""
        self.prepare()
        digests = [picture_digest(picture) for picture in pictures]
        for digest in set(digests) - set(self._kept):
            if (features := self._read(digest)) is not None:
                self._kept[digest] = features
        missing = {d: p for d, p in zip(digests, pictures, strict=True) if d not in self._kept}
        for digest, features in zip(missing, self.compute(list(missing.values())), strict=True):
            self._kept[digest] = features
            self._write(digest, features)
        return [self._kept[digest] for digest in digests]

    def _read(self, digest: str) -> np.ndarray | None:
        if self._root is None or not (path := self._root / f'{digest}.npy').is_file():
            return None
        try:
            features = np.load(path, allow_pickle=False)
            if features.ndim != 1 or features.dtype != np.float32:
                raise ValueError(f'it holds {features.dtype} of shape {features.shape}')
        except (OSError, EOFError, ValueError) as error:
            print_log(f'{path} is damaged and computed anew: {error}', 'current')
            return None
        return features

    def _write(self, digest: str, features: np.ndarray) -> None:
        if self._root is None:
            return
        # Another process may be writing the same file: each under a name of its own.
        with tempfile.NamedTemporaryFile(dir=self._root, suffix='.tmp', delete=False) as file:
            np.save(file, features)
        os.replace(file.name, self._root / f'{digest}.npy')


def _equal_sizes(pictures: Sequence[np.ndarray]) -> Iterator[list[int]]:
    """Numbers of pictures of one size, at most a batch of them."""
    sizes: dict[tuple[int, ...], list[int]] = {}
    for i, picture in enumerate(pictures):
        sizes.setdefault(picture.shape, []).append(i)
    for numbers in sizes.values():
        for start in range(0, len(numbers), BATCH_SIZE):
            yield numbers[start : start + BATCH_SIZE]
