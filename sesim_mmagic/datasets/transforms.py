"""Reading pictures deliberately, and refusing those that are too small."""

from collections.abc import Sequence

from mmcv.transforms import BaseTransform

from sesim_mmagic.registry import TRANSFORMS

from .sources import load_picture


@TRANSFORMS.register_module()
class LoadPicture(BaseTransform):
    """Load ``{key}_path`` into ``{key}`` with
    :func:`~sesim_mmagic.utils.images.read_picture`.

    Leaves what MMagic's ``LoadImageFromFile`` leaves: the picture, its original shape, channel
    order and colour type.

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
                f'LoadPicture: background must be three integers from 0 to 255, got {background}'
            )
        self.key = key
        self.background = tuple(background)
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        """Read the file that ``results[f'{key}_path']`` names."""
        picture = load_picture(results[f'{self.key}_path'], self.background, self.backend_args)
        results[self.key] = picture
        results[f'ori_{self.key}_shape'] = picture.shape
        results[f'{self.key}_channel_order'] = 'BGR'
        results[f'{self.key}_color_type'] = 'color'
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(key={self.key!r}, background={self.background})'


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
