"""What the tags of a TIFF say of its pixels, and which kinds are refused for it."""

from collections.abc import Mapping
from typing import Any, BinaryIO

from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

_SUBFILE, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES = 254, 258, 259, 262, 277
_MAX_SAMPLE, _PLANAR, _COLORMAP, _INK_SET, _EXTRA = 281, 284, 320, 332, 338
_SAMPLE_FORMAT, _YCBCR_SUBSAMPLING = 339, 530
_RAW = 1
_BILEVEL_OR_OLD_JPEG = (2, 3, 4, 6)
_SEPARATE = 2
_WHITE_IS_ZERO, _PALETTE, _INKS, _YCBCR, _LAB = 0, 3, 5, 6, 8
_KINDS = {1: 'unsigned', 2: 'signed', 3: 'floating-point'}
# A reduced copy (bit 0) or a transparency mask (bit 2) beside the picture is no page of its own.
_NO_PAGE = 1 | 4


def read_tags(stream: BinaryIO) -> Mapping[int, Any]:
    """The tags of the first page, by their numbers.

    Raises:
        ValueError: If it is of a kind that Pillow does not read.
        Exception: Of nearly any kind where the file is damaged.
    """
    stream.seek(0)
    header = stream.read(8)
    if header.startswith(b'MM\0\x2b'):  # Pillow takes it for one of the other order
        raise ValueError('a BigTIFF of big-endian order is not read, save it in the other order')
    if header[2:3] == b'\x2b':  # BigTIFF
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
    depth, photometric = bits(tags), tags.get(_PHOTOMETRIC)
    if photometric is None and tags.get(_COMPRESSION, _RAW) not in _BILEVEL_OR_OLD_JPEG:
        return 'it does not say whether 0 is black (no photometric interpretation), save it anew'
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
    if photometric == _LAB:
        return 'its colours are L*a*b*, save it as RGB'
    sampling = tags.get(_YCBCR_SUBSAMPLING, (2, 2))
    if photometric == _YCBCR and tags.get(_COMPRESSION, _RAW) < 6 and tuple(sampling) != (1, 1):
        return 'its colour is subsampled without JPEG compression, save it as RGB'
    return None


def pages(picture: TiffImageFile) -> list[int]:
    """Numbers of the pages of an opened TIFF that are no reduced copies or masks.

    It is left at its first page.
    """
    numbers = []
    for number in range(picture.n_frames):
        picture.seek(number)
        if not picture.tag_v2.get(_SUBFILE, 0) & _NO_PAGE:
            numbers.append(number)
    picture.seek(0)
    return numbers


def white_of(tags: Mapping[int, Any]) -> int | None:
    """Value of white in channels of up to 16 bits, where the tags say it; None for 16 full bits.

    TIFF 6.0 defines MaxSampleValue as the largest value used, so only those of whole numbers of
    bits (4095, 1023, ...) tell a depth.
    """
    if bits(tags) < 16:
        return 2 ** bits(tags) - 1
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
