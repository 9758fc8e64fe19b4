"""Reading pictures deliberately, and refusing those that are too small."""

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform

from sesim_mmagic.registry import TRANSFORMS
from sesim_mmagic.utils.images import UnusablePicture

from .sources import load_picture


@TRANSFORMS.register_module()
class LoadPicture(BaseTransform):
    """Load ``{key}_path`` into ``{key}`` with
    :func:`~sesim_mmagic.utils.images.read_picture`.

    Leaves what MMagic's ``LoadImageFromFile`` leaves: the picture, its original shape, channel
    order and colour type. ``max_image_pixels`` in the results, which data sets put there, is the
    most pixels that a picture may have.

    Args:
        key (str): Key of the picture. Defaults to 'img'.
        background (Sequence[int]): RGB colour behind transparent pixels. Defaults to white.
        backend_args (dict, optional): Arguments of MMEngine's file backend. Defaults to None:
            it follows from the path.

    Raises:
        ValueError: If ``background`` is not three integers from 0 to 255.
    """

    def __init__(
        self,
        key: str = 'img',
        background: Sequence[int] = (255, 255, 255),
        backend_args: dict | None = None,
    ) -> None:
        if len(background) != 3 or any(value not in range(256) for value in background):
            raise ValueError(
                f'{type(self).__name__}: background must be three integers from 0 to 255, got '
                f'{background}'
            )
        self.key = key
        self.background = tuple(background)
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        """Read the file that ``results[f'{self.key}_path']`` names.

        Raises:
            UnusablePicture: If it is missing or cannot be used.
        """
        return _with_picture(results, self.key, self._read(results))

    def _read(self, results: dict) -> np.ndarray:
        path, limit = results[f'{self.key}_path'], results.get('max_image_pixels')
        try:
            return load_picture(path, self.background, self.backend_args, limit)
        except FileNotFoundError as error:  # another can stand in for it
            raise UnusablePicture(path, 'it does not exist') from error
        except OSError as error:
            raise UnusablePicture(path, error.strerror or str(error)) from error

    def __repr__(self) -> str:
        return f'{type(self).__name__}(key={self.key!r}, background={self.background})'


@TRANSFORMS.register_module()
class LoadPicturePair(LoadPicture):
    """Load ``pair_path``, two pictures side by side, into ``img_A``, the left one, and ``img_B``.

    Args:
        background (Sequence[int]): As of :class:`LoadPicture`.
        backend_args (dict, optional): As of :class:`LoadPicture`.
    """

    def __init__(
        self, background: Sequence[int] = (255, 255, 255), backend_args: dict | None = None
    ) -> None:
        super().__init__('pair', background, backend_args)

    def transform(self, results: dict) -> dict:
        """Read the file and cut it in the middle.

        Raises:
            UnusablePicture: If it is missing, cannot be used, or has an odd width.
        """
        pair, path = self._read(results), results['pair_path']
        half, odd = divmod(pair.shape[1], 2)
        if odd:
            raise UnusablePicture(path, f'its width, {pair.shape[1]}, has no half')
        for key, picture in (('img_A', pair[:, :half]), ('img_B', pair[:, half:])):
            results[f'{key}_path'] = path
            results = _with_picture(results, key, picture)
        return results


def _with_picture(results: dict, key: str, picture: np.ndarray) -> dict:
    results[key] = picture
    results[f'ori_{key}_shape'] = picture.shape
    results[f'{key}_channel_order'] = 'BGR'
    results[f'{key}_color_type'] = 'color'
    return results


@TRANSFORMS.register_module()
class CheckSize(BaseTransform):
    """Refuse pictures that are smaller than the crop which follows.

    MMagic's ``Crop`` gives such a picture back as it is, and the batch is padded with zeros.

    Args:
        keys (Sequence[str]): Keys of pictures.
        min_size (tuple[int, int]): Smallest height and width in pixels.
    """

    def __init__(self, keys: Sequence[str], min_size: tuple[int, int]) -> None:
        self.keys = tuple(keys)
        self.min_size = tuple(min_size)

    def transform(self, results: dict) -> dict:
        """Raise ``ValueError`` for a picture that is too small."""
        for key in self.keys:
            height, width = results[key].shape[:2]
            if height < self.min_size[0] or width < self.min_size[1]:
                raise ValueError(
                    f'picture {str(results.get(f"{key}_path", key))!r} is {height} x {width} '
                    f'pixels (height x width) where it is cropped to {self.min_size[0]} x '
                    f'{self.min_size[1]}; remove it, resize it first, or crop smaller'
                )
        return results
