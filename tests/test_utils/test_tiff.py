"""TIFFs of every layout give the values that were meant, or are refused by their tags."""

import io
import itertools

import numpy as np
import pytest
import tifffile
from PIL import Image

from sesim_mmagic.utils.images import UnusablePicture, check_picture, read_picture

HEIGHT, WIDTH = 32, 48
ROWS, COLUMNS = np.mgrid[:HEIGHT, :WIDTH]
RGB = np.stack([COLUMNS * 5, ROWS * 7, (ROWS + COLUMNS) * 3], axis=2).astype(np.uint8)
GRAY = RGB[..., 0]
ALPHA = (COLUMNS * 5).astype(np.uint8)
CMYK = np.dstack([255 - RGB, np.zeros_like(GRAY)])
STORAGE = [
    dict(zip(('byteorder', 'tile', 'compression', 'predictor'), choice, strict=True))
    for choice in itertools.product('<>', (None, (16, 16)), (None, 'zlib'), (False, True))
    if choice[2] or not choice[3]
]
WHITE_12 = dict(extratags=[(281, 3, 1, 4095, True)])


def wide(pixels):
    return pixels.astype(np.uint16) * 257


def planes(pixels):
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def tiff(pixels, **settings):
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **{'metadata': None, **settings})
    return file.getvalue()


def over_white(pixels, alpha):
    share = alpha[..., None] / 255
    return pixels * share + 255 * (1 - share)


GRAYS = np.repeat(GRAY[..., None], 3, axis=2)
BILEVEL = np.where(GRAYS > 127, 255, 0)
PALETTE = np.stack([np.arange(256) * 257, wide(255 - np.arange(256)), np.arange(256) // 2 * 257])
IN_PALETTE = np.stack([GRAY, 255 - GRAY, GRAY // 2], axis=2)
# Name: pixels as stored, settings, pixels as meant.
READ = dict(
    gray=(GRAY, dict(photometric='minisblack'), GRAYS),
    gray_white_is_0=(255 - GRAY, dict(photometric='miniswhite'), GRAYS),
    gray16=(wide(GRAY), dict(photometric='minisblack'), GRAYS),
    gray12=(wide(GRAY) >> 4, dict(photometric='minisblack', **WHITE_12), GRAYS),
    rgb=(RGB, dict(photometric='rgb'), RGB),
    rgb_planes=(planes(RGB), dict(photometric='rgb', planarconfig='separate'), RGB),
    rgb16=(wide(RGB), dict(photometric='rgb'), RGB),
    palette=(GRAY, dict(photometric='palette', colormap=PALETTE.astype(np.uint16)), IN_PALETTE),
    palette8=(
        GRAY,
        dict(photometric='palette', colormap=(PALETTE // 257).astype(np.uint16)),
        IN_PALETTE,
    ),
    cmyk=(CMYK, dict(photometric='separated'), RGB),
    cmyk16=(wide(CMYK), dict(photometric='separated'), RGB),
    cmyk_planes=(planes(CMYK), dict(photometric='separated', planarconfig='separate'), RGB),
)
ONLY_LITTLE_ENDIAN = dict(
    gray16_white_is_0=(65535 - wide(GRAY), dict(photometric='miniswhite'), GRAYS),
    gray12_white_is_0=(4095 - (wide(GRAY) >> 4), dict(photometric='miniswhite', **WHITE_12), GRAYS),
)


@pytest.mark.parametrize('kind', READ)
def test_values_in_every_storage(kind):
    pixels, settings, meant = READ[kind]
    for storage in STORAGE:
        found = read_picture('x.tif', data=tiff(pixels, **settings, **storage))[..., ::-1]
        assert np.abs(found.astype(int) - meant).max() <= 1, storage


@pytest.mark.parametrize('kind', ONLY_LITTLE_ENDIAN)
def test_sixteen_bits_where_0_is_white(kind):
    pixels, settings, meant = ONLY_LITTLE_ENDIAN[kind]
    for storage in STORAGE:
        data = tiff(pixels, **settings, **storage)
        if storage['byteorder'] == '>':
            with pytest.raises(UnusablePicture, match='16 bits, unsigned, photometric inter'):
                read_picture('x.tif', data=data)
        else:
            found = read_picture('x.tif', data=data)[..., ::-1]
            assert np.abs(found.astype(int) - meant).max() <= 1, storage


@pytest.mark.parametrize('white_is_0', [False, True])
def test_one_bit(white_is_0):
    kind = 'miniswhite' if white_is_0 else 'minisblack'
    found = read_picture('x.tif', data=tiff((GRAY > 127) != white_is_0, photometric=kind))
    np.testing.assert_array_equal(found, BILEVEL)


@pytest.mark.parametrize('depth', [8, 16])
@pytest.mark.parametrize('kind', ['unassalpha', 'assocalpha', 'unspecified'])
def test_the_fourth_channel(depth, kind):
    meant = RGB if kind == 'unspecified' else over_white(RGB, ALPHA)
    stored = np.rint(RGB * (ALPHA[..., None] / 255)) if kind == 'assocalpha' else RGB
    pixels = np.dstack([stored, ALPHA]).astype(np.uint8)
    data = tiff(pixels if depth == 8 else wide(pixels), photometric='rgb', extrasamples=[kind])
    found = read_picture('x.tif', data=data)[..., ::-1]
    assert np.abs(found - meant).max() <= 3


def test_pillows_compressions_and_jpeg_inside():
    picture = Image.fromarray(RGB)
    for mode, compression in itertools.product(
        ('L', 'RGB', 'CMYK', 'YCbCr'), (None, 'tiff_lzw', 'packbits', 'jpeg')
    ):
        file, stored = io.BytesIO(), picture.convert(mode)
        stored.save(file, 'TIFF', compression=compression)
        found = read_picture('x.tif', data=file.getvalue())[..., ::-1]
        error = np.abs(found.astype(int) - np.asarray(stored.convert('RGB')))
        assert error.mean() < (8 if compression == 'jpeg' else 1), (mode, compression)


def test_reduced_copies_are_no_pages():
    def written(*pages):
        file = io.BytesIO()
        with tifffile.TiffWriter(file) as writer:
            for pixels, kind in pages:
                writer.write(pixels, photometric='rgb', subfiletype=kind, metadata=None)
        return file.getvalue()

    small = np.ascontiguousarray(RGB[::2, ::2])
    for change in (np.asarray, wide):
        data = written((change(RGB), 0), (change(small), 1))
        np.testing.assert_array_equal(read_picture('x.tif', data=data)[..., ::-1], RGB)
    with pytest.raises(UnusablePicture, match='it has 2 frames, extract one'):
        check_picture('x.tif', data=written((RGB, 0), (RGB, 0)))
    with pytest.raises(UnusablePicture, match='first page is a reduced copy'):
        check_picture('x.tif', data=written((small, 1), (RGB, 0)))


REFUSED = dict(
    signed8=(GRAY.astype(np.int8), {}, 'signed 8-bit pixels'),
    signed16=(wide(GRAY // 2).astype(np.int16), {}, 'signed 16-bit pixels'),
    signed16_rgb=(wide(RGB // 2).astype(np.int16), dict(photometric='rgb'), 'signed 16-bit'),
    unsigned32=(GRAY.astype(np.uint32), {}, '32-bit pixels have no agreed white'),
    float16=((GRAY / 255).astype(np.float16), {}, 'floating-point 16-bit'),
    float32=((GRAY / 255).astype(np.float32), {}, 'floating-point 32-bit'),
    float64_rgb=(RGB / 255, dict(photometric='rgb'), 'floating-point 64-bit'),
    planes16=(
        planes(wide(RGB)),
        dict(photometric='rgb', planarconfig='separate'),
        '16-bit channels lie in separate planes',
    ),
    gray_alpha16=(
        wide(np.dstack([GRAY, ALPHA])),
        dict(photometric='minisblack', extrasamples=['unassalpha'], planarconfig='contig'),
        '2 channels of 16 bits',
    ),
    lab=(RGB, dict(photometric='cielab'), r'L\*a\*b\*'),
    icc_lab=(RGB, dict(photometric='icclab'), 'photometric interpretation 9'),
    inks=(CMYK, dict(photometric='separated', extratags=[(332, 3, 1, 2, True)]), 'its inks'),
    big_endian_big=(RGB, dict(photometric='rgb', bigtiff=True, byteorder='>'), 'BigTIFF'),
)  # fmt: skip


@pytest.mark.parametrize('kind', REFUSED)
def test_kinds_without_agreed_values_are_refused_by_their_tags(kind):
    pixels, settings, reason = REFUSED[kind]
    data = tiff(pixels, **{'photometric': 'minisblack', **settings})
    for read in (check_picture, read_picture):
        with pytest.raises(UnusablePicture, match=f'x.tif.*cannot be used: .*{reason}') as caught:
            read('x.tif', data=data)
        assert len(str(caught.value).splitlines()) == 1 and ' at 0x' not in str(caught.value)


@pytest.mark.parametrize('pixels', [GRAY, RGB], ids=['gray', 'rgb'])
def test_twelve_bits_that_no_tag_names_are_refused(pixels):
    data = tiff(wide(pixels) >> 4, photometric='rgb' if pixels.ndim == 3 else 'minisblack')
    with pytest.raises(UnusablePicture, match=r'no value of its 16 bits is above \d+'):
        read_picture('x.tif', data=data)
    black = read_picture('x.tif', data=tiff(wide(GRAY * 0), photometric='minisblack'))
    assert not black.any()


@pytest.mark.parametrize('value', [1, 2, 3, 4, 5, 6, 7, 8])
def test_orientation(value):
    turned = {
        1: RGB, 2: RGB[:, ::-1], 3: RGB[::-1, ::-1], 4: RGB[::-1], 5: RGB.transpose(1, 0, 2),
        6: np.rot90(RGB, -1), 7: RGB[::-1, ::-1].transpose(1, 0, 2), 8: np.rot90(RGB),
    }[value]  # fmt: skip
    for pixels in (RGB, wide(RGB)):
        for compression in (None, 'zlib'):
            data = tiff(
                pixels,
                photometric='rgb',
                compression=compression,
                extratags=[(274, 3, 1, value, True)],
            )
            np.testing.assert_array_equal(read_picture('x.tif', data=data)[..., ::-1], turned)
