"""What the tags of a TIFF say of its pixels, and which kinds are refused for it."""

from collections.abc import Mapping
from typing import Any, BinaryIO

from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

_SUBFILE, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES = 254, 258, 259, 262, 277
_MAX_SAMPLE, _PLANAR, _COLORMAP, _INK_SET, _EXTRA = 281, 284, 320, 332, 338
_SAMPLE_FORMAT, _YCBCR_SUBSAMPLING = 339, 530
_RAW, _JPEG = 1, 7
_SEPARATE = 2
_WHITE_IS_ZERO, _RGB, _PALETTE, _INKS, _YCBCR = 0, 2, 3, 5, 6
_KINDS = {1: 'unsigned', 2: 'signed', 3: 'floating-point'}
# A reduced copy (bit 0) or a transparency mask (bit 2) beside the picture is no page of its own.
_NO_PAGE = 1 | 4


def read_tags(stream: BinaryIO) -> Mapping[int, Any]:
    """The tags of the first page, by their numbers.

    Raises:
        Exception: Of nearly any kind where the file is damaged.
    """
    stream.seek(0)
    header = stream.read(8)
    if header[2:3] == b'\x2b' or header[3:4] == b'\x2b':  # BigTIFF
        header += stream.read(8)
    tags = ImageFileDirectory_v2(header)
    stream.seek(tags.next)
    tags.load(stream)
    return dict(tags)


def _tuple(tags: Mapping[int, Any], number: int, default: int) -> tuple:
    value = tags.get(number, default)
    return value if isinstance(value, tuple) else (value,)


def bits(tags: Mapping[int, Any]) -> int:
    """Bits of the deepest channel."""
    return max(_tuple(tags, _BITS, 1))


def describe(tags: Mapping[int, Any]) -> str:
    """The layout of the pixels in a few words, for an error."""
    kinds = {_KINDS.get(kind, f'format {kind}') for kind in _tuple(tags, _SAMPLE_FORMAT, 1)}
    return (
        f'{tags.get(_SAMPLES, 1)} channels of {bits(tags)} bits, {"/".join(sorted(kinds))}, '
        f'photometric interpretation {tags.get(_PHOTOMETRIC, "missing")}, '
        f'compression {tags.get(_COMPRESSION, _RAW)}'
    )


def refusal(tags: Mapping[int, Any]) -> str | None:
    """Why a TIFF with these tags is not read; None if nothing speaks against it.

    Pillow and OpenCV open the kinds that are named here, and give wrong values.
    """
    depth, photometric = bits(tags), tags.get(_PHOTOMETRIC, _WHITE_IS_ZERO)
    for kind in _tuple(tags, _SAMPLE_FORMAT, 1):
        if kind in (2, 3):
            return (
                f'{_KINDS[kind]} {depth}-bit pixels have no agreed white, save it with 8 or 16 '
                'bits, unsigned'
            )
    if depth > 16:
        return f'{depth}-bit pixels have no agreed white, save it with 8 or 16 bits'
    if depth > 8 and tags.get(_PLANAR) == _SEPARATE and tags.get(_SAMPLES, 1) > 1:
        return f'its {depth}-bit channels lie in separate planes, save it with interleaved channels'
    if photometric == _INKS and tags.get(_INK_SET, 1) != 1:
        return 'its inks are not those of CMYK, save it as RGB'
    sampling = tags.get(_YCBCR_SUBSAMPLING, (2, 2))
    if photometric == _YCBCR and tags.get(_COMPRESSION, _RAW) < 6 and tuple(sampling) != (1, 1):
        return 'its colour is subsampled without JPEG compression, save it as RGB'
    return None


def count_pages(picture: Image.Image) -> int:
    """Pages of an opened TIFF, without reduced copies and masks; leaves it at its first page."""
    pages = 0
    for number in range(picture.n_frames):
        picture.seek(number)
        pages += not picture.tag_v2.get(_SUBFILE, 0) & _NO_PAGE
    picture.seek(0)
    return pages


def white_of(tags: Mapping[int, Any]) -> int | None:
    """Value of white in 16-bit channels that hold fewer bits, as MaxSampleValue says; or None.

    TIFF 6.0 defines that tag as the largest value used, so only those of whole numbers of bits
    (4095, 1023, ...) tell a depth.
    """
    largest = max(_tuple(tags, _MAX_SAMPLE, 0))
    return largest if 255 < largest < 65535 and largest & (largest + 1) == 0 else None


def is_inverted(tags: Mapping[int, Any]) -> bool:
    """Whether 0 is white."""
    return tags.get(_PHOTOMETRIC, _WHITE_IS_ZERO) == _WHITE_IS_ZERO


def alpha_kind(tags: Mapping[int, Any]) -> int:
    """What the fourth channel of RGB is: 0 nothing, 1 alpha multiplied in already, 2 alpha."""
    return _tuple(tags, _EXTRA, 2)[0]


def eight_bit_palette(tags: Mapping[int, Any]) -> list[int] | None:
    """Colours (R, G, B, R, ...) of a palette that was written with 8 bits instead of 16, or None.

    Where no value is above 255, libtiff takes it for that, too; all colours would be black.
    """
    values = tags.get(_COLORMAP)
    if tags.get(_PHOTOMETRIC) != _PALETTE or not values or max(values) > 255:
        return None
    third = len(values) // 3
    return [values[channel * third + index] for index in range(third) for channel in range(3)]
