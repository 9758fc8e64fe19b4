"""Every kind of picture file becomes the 8-bit BGR picture that its author meant, or an error."""

import io
import os
import pickle
import struct
import threading
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor, wait

import cv2
import numpy as np
import pytest
from PIL import Image

from sesim_mmagic.datasets import CheckSize, LoadPicture
from sesim_mmagic.utils import decoding
from sesim_mmagic.utils.images import (
    UnusablePicture,
    check_picture,
    read_picture,
    read_picture_and_alpha,
)

HEIGHT, WIDTH = 6, 9


@pytest.fixture
def rgb():
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


@pytest.fixture
def gray16():
    values = np.random.default_rng(1).integers(0, 65536, (HEIGHT, WIDTH), dtype=np.uint16)
    # Where rounding and dropping the low byte differ, and both ends.
    values[0, :6] = [0, 65535, 128, 129, 257 * 7 + 128, 257 * 7 + 129]
    return values


def saved(tmp_path, pixels, name='x.png', mode=None, **kwargs):
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(tmp_path / name, **kwargs)
    return tmp_path / name


def read_rgb(path, **kwargs):
    picture = read_picture(path, **kwargs)
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
    assert picture.flags.c_contiguous
    return picture[..., ::-1]


def over(foreground, alpha, background):
    """Slow reference of compositing: float, one channel after the other."""
    share = alpha[..., None] / 255
    return foreground * share + np.array(background) * (1 - share)


@pytest.mark.parametrize('name', ['x.png', 'x.bmp', 'x.tif', 'x.ppm'])
def test_colour_is_bgr(tmp_path, rgb, name):
    path = saved(tmp_path, rgb, name)
    np.testing.assert_array_equal(read_picture(path), rgb[..., ::-1])


def test_gray_is_repeated(tmp_path, rgb):
    path = saved(tmp_path, rgb[..., 0])
    np.testing.assert_array_equal(read_rgb(path), np.repeat(rgb[..., :1], 3, axis=2))


def test_black_and_white(tmp_path, rgb):
    bits = rgb[..., 0] > 127
    path = saved(tmp_path, Image.fromarray(bits))
    np.testing.assert_array_equal(read_rgb(path), np.repeat(bits[..., None], 3, 2) * 255)


@pytest.mark.parametrize('name', ['x.png', 'x.tif', 'x.pgm'])
def test_gray_of_16_bits_is_rounded(tmp_path, gray16, name):
    path = tmp_path / name
    cv2.imwrite(str(path), gray16)
    expected = np.rint(gray16 / 257).astype(np.uint8)
    np.testing.assert_array_equal(read_rgb(path), np.repeat(expected[..., None], 3, axis=2))


@pytest.mark.parametrize('name', ['x.png', 'x.tif'])
def test_colour_of_16_bits_is_rounded(tmp_path, gray16, name):
    colour = np.stack([gray16, gray16[::-1], gray16[:, ::-1]], axis=2)
    cv2.imwrite(str(tmp_path / name), colour[..., ::-1])
    np.testing.assert_array_equal(read_rgb(tmp_path / name), np.rint(colour / 257))


def test_transparent_colour_of_16_bits(tmp_path, gray16):
    alpha = np.zeros_like(gray16)
    alpha[:, 4:] = 65535
    colour = np.stack([gray16, gray16[::-1], gray16[:, ::-1], alpha], axis=2)
    cv2.imwrite(str(tmp_path / 'x.png'), cv2.cvtColor(colour, cv2.COLOR_RGBA2BGRA))
    picture = read_rgb(tmp_path / 'x.png', background=(1, 2, 3))
    np.testing.assert_array_equal(picture[:, 4:], np.rint(colour[:, 4:, :3] / 257))
    assert (picture[:, :4] == [1, 2, 3]).all()


@pytest.mark.parametrize('background', [(255, 255, 255), (10, 200, 90)])
def test_rgba_is_laid_over_the_background(tmp_path, rgb, background):
    alpha = np.linspace(0, 255, HEIGHT * WIDTH).astype(np.uint8).reshape(HEIGHT, WIDTH)
    path = saved(tmp_path, np.dstack([rgb, alpha]))
    expected = over(rgb, alpha, background)
    assert np.abs(read_rgb(path, background=background) - expected).max() <= 1


def test_gray_with_alpha(tmp_path, rgb):
    alpha = rgb[..., 1]
    path = saved(
        tmp_path, Image.merge('LA', [Image.fromarray(rgb[..., 0]), Image.fromarray(alpha)])
    )
    expected = over(np.repeat(rgb[..., :1], 3, axis=2), alpha, (255, 255, 255))
    assert np.abs(read_rgb(path) - expected).max() <= 1


def palette_picture():
    image = Image.fromarray(np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH) % 3)
    image.putpalette([255, 0, 0, 0, 128, 0, 10, 20, 30])
    return image


def test_palette(tmp_path):
    path = saved(tmp_path, palette_picture())
    assert Image.open(path).mode == 'P'
    colours = np.array([[255, 0, 0], [0, 128, 0], [10, 20, 30]])
    np.testing.assert_array_equal(read_rgb(path), colours[np.asarray(palette_picture())])


def test_palette_with_transparency(tmp_path):
    path = saved(tmp_path, palette_picture(), transparency=1)
    colours = np.array([[255, 0, 0], [255, 255, 255], [10, 20, 30]])
    np.testing.assert_array_equal(read_rgb(path), colours[np.asarray(palette_picture())])


def test_transparent_colour_key(tmp_path, rgb):
    rgb[:2] = [10, 20, 30]
    path = saved(tmp_path, rgb, transparency=(10, 20, 30))
    picture = read_rgb(path, background=(0, 0, 255))
    assert (picture[:2] == [0, 0, 255]).all()
    np.testing.assert_array_equal(picture[2:], rgb[2:])


def test_cmyk(tmp_path):
    cmyk = np.zeros((16, 16, 4), np.uint8)
    cmyk[:8, :, 0], cmyk[8:, :, 3] = 255, 255  # cyan above, black below
    path = saved(tmp_path, Image.fromarray(cmyk, 'CMYK'), 'x.jpg', quality=100)
    assert Image.open(path).mode == 'CMYK'
    picture = read_rgb(path).astype(int)
    assert np.abs(picture[:8] - [0, 255, 255]).max() < 12
    assert np.abs(picture[8:]).max() < 12


# What a viewer shows for each orientation, from the stored rows and columns (EXIF 2.3, 4.6.4).
ORIENTED = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.transpose(1, 0, 2),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: x[::-1, ::-1].transpose(1, 0, 2),
    8: lambda x: np.rot90(x),
}


@pytest.mark.parametrize('orientation', ORIENTED)
def test_orientation(tmp_path, rgb, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path, rgb, exif=exif)
    np.testing.assert_array_equal(read_rgb(path), ORIENTED[orientation](rgb))


def test_photos_of_several_views_are_read(tmp_path, rgb):
    frames = [Image.fromarray(np.full((16, 16, 3), value, np.uint8)) for value in (50, 200)]
    frames[0].save(tmp_path / 'x.jpg', format='MPO', save_all=True, append_images=frames[1:])
    assert np.abs(read_rgb(tmp_path / 'x.jpg').astype(int) - 50).max() < 3


def test_animations_are_refused(tmp_path, rgb):
    frames = [Image.fromarray(rgb), Image.fromarray(255 - rgb)]
    frames[0].save(tmp_path / 'x.png', save_all=True, append_images=frames[1:])
    with pytest.raises(ValueError, match=r'x\.png.*2 frames'):
        read_picture(tmp_path / 'x.png')


@pytest.mark.parametrize('dtype', [np.float32, np.int32])
def test_32_bits_are_refused(tmp_path, dtype):
    path = saved(tmp_path, np.ones((HEIGHT, WIDTH), dtype), 'x.tif')
    with pytest.raises(ValueError, match=r'x\.tif.*32-bit pixels.*8 or 16 bits'):
        read_picture(path)


@pytest.mark.parametrize('name', ['x.jpg', 'x.png', 'x.bmp', 'x.tif', 'x.ppm'])
def test_truncated_files_name_the_file(tmp_path, name):
    noise = np.random.default_rng(2).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    content = saved(tmp_path, noise, name).read_bytes()
    for share in (0, 0.01, 0.1, 0.3, 0.5, 0.8, 0.9):
        (tmp_path / name).write_bytes(content[: int(share * len(content))])
        with pytest.raises(ValueError, match=rf'{name}.*cannot be used.*replace'):
            read_picture(tmp_path / name)


@pytest.mark.filterwarnings('ignore')
def test_damaged_files_give_a_picture_or_that_error(tmp_path):
    """Whatever byte is hit, no other kind of error comes through."""
    rng = np.random.default_rng(3)
    noise = rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)
    errors = 0
    for name in ('x.jpg', 'x.png', 'x.tif', 'x.bmp'):
        content = saved(tmp_path, noise, name).read_bytes()
        for _ in range(150):
            damaged = bytearray(content)
            for place in rng.integers(0, len(content), 4):
                damaged[place] = rng.integers(256)
            (tmp_path / name).write_bytes(damaged)
            try:
                read_picture(tmp_path / name)
            except ValueError as error:
                assert name in str(error)
                errors += 1
    assert errors > 50


def test_unreadable_and_missing_files(tmp_path):
    (tmp_path / 'notes.png').write_text('not a picture')
    with pytest.raises(ValueError, match=r'notes\.png.*cannot be used'):
        read_picture(tmp_path / 'notes.png')
    with pytest.raises(FileNotFoundError, match=r'gone\.png.*does not exist'):
        read_picture(tmp_path / 'gone.png')


def test_load_picture_leaves_what_mmagic_leaves(tmp_path, rgb):
    from mmagic.datasets.transforms import LoadImageFromFile

    path = str(saved(tmp_path, rgb))
    ours, theirs = (
        transform(dict(img_A_path=path))
        for transform in (LoadPicture('img_A'), LoadImageFromFile('img_A', channel_order='bgr'))
    )
    np.testing.assert_array_equal(ours.pop('img_A'), theirs.pop('img_A'))
    assert theirs.pop('img_A_channel_order') == ours.pop('img_A_channel_order').lower()
    assert ours == theirs


def test_load_picture_passes_the_background(tmp_path):
    path = saved(tmp_path, np.zeros((HEIGHT, WIDTH, 4), np.uint8))
    results = LoadPicture('img', background=(1, 2, 3))(dict(img_path=str(path)))
    assert (results['img'] == [3, 2, 1]).all()


@pytest.mark.parametrize('background', [(1, 2), (0, 0, 256), (0.5, 0, 0)])
def test_bad_background(background):
    with pytest.raises(ValueError, match='three integers from 0 to 255'):
        LoadPicture('img', background=background)


def test_pictures_smaller_than_the_crop_are_refused(rgb):
    results = dict(img_A=rgb, img_A_path='horses/7.jpg')
    assert CheckSize(['img_A'], (HEIGHT, WIDTH))(dict(results))['img_A'] is rgb
    for size in ((HEIGHT + 1, WIDTH), (HEIGHT, WIDTH + 1)):
        with pytest.raises(ValueError, match=rf"'horses/7.jpg' is 6 x 9 .* {size[0]} x {size[1]}"):
            CheckSize(['img_A'], size)(dict(results))


def png16(pixels, colour, *chunks):
    """A PNG of 16 bits a channel with these chunks before its pixels."""

    def chunk(name, data):
        return (
            struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))
        )

    height, width = pixels.shape[:2]
    rows = b''.join(b'\0' + row.astype('>u2').tobytes() for row in pixels)
    header = struct.pack('>IIBBBBB', width, height, 16, colour, 0, 0, 0)
    parts = [(b'IHDR', header), *chunks, (b'IDAT', zlib.compress(rows)), (b'IEND', b'')]
    return b'\x89PNG\r\n\x1a\n' + b''.join(chunk(*part) for part in parts)


@pytest.mark.parametrize('orientation', ORIENTED)
def test_orientation_with_16_bits(rgb, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    wide = rgb.astype(np.uint16) * 257
    opaque = np.full((HEIGHT, WIDTH), 65535, np.uint16)
    for colour, pixels in ((2, wide), (0, wide[..., 0]), (4, np.dstack([wide[..., 0], opaque]))):
        data = png16(pixels, colour, (b'eXIf', exif.tobytes()[6:]))
        expected = rgb if colour == 2 else np.repeat(rgb[..., :1], 3, axis=2)
        found = read_picture('x.png', data=data)[..., ::-1]
        np.testing.assert_array_equal(found, ORIENTED[orientation](expected))


def test_gray_and_alpha_of_16_bits(rgb):
    wide = rgb.astype(np.uint16) * 257
    found, alpha = read_picture_and_alpha('x.png', data=png16(wide[..., :2], 4))
    expected = over(np.repeat(rgb[..., :1], 3, axis=2), rgb[..., 1], (255, 255, 255))
    assert np.abs(found - expected).max() <= 1
    np.testing.assert_array_equal(alpha, rgb[..., 1])


def test_transparent_colour_key_of_16_bits(rgb):
    wide = rgb.astype(np.uint16) * 257
    wide[:2] = (777, 888, 999)
    for colour, pixels, key in ((2, wide, (777, 888, 999)), (0, wide[..., 0], (777,))):
        data = png16(pixels, colour, (b'tRNS', struct.pack(f'>{len(key)}H', *key)))
        found = read_picture('x.png', (0, 0, 255), data=data)[..., ::-1]
        assert (found[:2] == [0, 0, 255]).all()
        np.testing.assert_array_equal(found[2:, :, 0], rgb[2:, :, 0])


@pytest.mark.parametrize('image_format', ['WEBP', 'AVIF', 'JPEG2000'])
def test_newer_formats(image_format):
    rgb = np.zeros((HEIGHT, WIDTH, 3), np.uint8) + np.uint8([200, 120, 40])
    alpha = np.full((HEIGHT, WIDTH), 255, np.uint8)
    alpha[:, 5:] = 0
    file = io.BytesIO()
    exact = dict(WEBP=dict(lossless=True, exact=True), AVIF=dict(quality=100)).get(image_format, {})
    Image.fromarray(np.dstack([rgb, alpha])).save(file, image_format, **exact)
    found, read_alpha = read_picture_and_alpha('x', data=file.getvalue())
    np.testing.assert_array_equal(read_alpha, alpha)
    assert (found[:, 5:] == 255).all()
    error = np.abs(found[:, :5, ::-1].astype(int) - rgb[:, :5])
    assert error.max() <= (8 if image_format == 'AVIF' else 0)


@pytest.mark.parametrize(
    ('content', 'kind'),
    [
        (b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n', 'PostScript'),
        (b'GIF89a' + bytes(20), 'a GIF'),
        (b'\0\0\0\x18ftypheic' + bytes(20), 'HEIC'),
        (b'', 'no picture'),
    ],
)
def test_other_formats_are_not_opened_whatever_their_name(tmp_path, content, kind):
    (tmp_path / 'x.png').write_bytes(content)
    for read in (read_picture, check_picture):
        with pytest.raises(UnusablePicture, match=rf'x\.png.*it is {kind}.*PNG, JPEG'):
            read(tmp_path / 'x.png')


def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / 'pipe.png')
    (tmp_path / 'zero.png').symlink_to('/dev/zero')
    (tmp_path / 'folder.png').mkdir()
    kinds = {'pipe.png': 'named pipe', 'zero.png': 'device', 'folder.png': 'folder'}
    for name, kind in kinds.items():
        for read in (read_picture, check_picture):
            with pytest.raises(UnusablePicture, match=f'{name}.*it is a {kind}, not a regular'):
                read(tmp_path / name)


def test_files_that_hold_more_than_pixels_could_need_are_not_read(tmp_path):
    with open(tmp_path / 'x.png', 'wb') as file:
        file.truncate(2**40)  # sparse
    with pytest.raises(UnusablePicture, match='1099511627776 bytes.*max_image_pixels'):
        read_picture(tmp_path / 'x.png')


def test_the_limit_of_pixels(rgb, monkeypatch):
    """Below Pillow's limit it refuses, beyond it it allows, and Pillow's stays as it was."""
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 10)
    for image_format in ('PNG', 'WEBP', 'TIFF', 'JPEG', 'BMP'):
        file = io.BytesIO()
        Image.fromarray(rgb).save(file, image_format)
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            found = read_picture('x', data=file.getvalue(), max_pixels=HEIGHT * WIDTH)
        assert found.shape == rgb.shape
        reason = 'max_image_pixels.*--max-image-pixels'
        for read in (read_picture, check_picture):
            for limit in (HEIGHT * WIDTH - 1, 10):
                with pytest.raises(UnusablePicture, match=reason):
                    read('x', data=file.getvalue(), max_pixels=limit)
        with pytest.raises(UnusablePicture):
            half = file.getvalue()[: len(file.getvalue()) // 2]
            read_picture('x', data=half, max_pixels=HEIGHT * WIDTH)
        assert Image.MAX_IMAGE_PIXELS == 10
    for wrong in (0, 1.5, True, '9'):
        with pytest.raises(ValueError, match='max_image_pixels must be an integer of at least 1'):
            read_picture('x', data=b'', max_pixels=wrong)


def test_the_limit_that_a_thread_lifts_is_no_other_s(rgb, monkeypatch):
    """A picture that is opened while another one is read without Pillow's limit."""
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 10)
    file, is_back = io.BytesIO(), threading.Event()
    Image.fromarray(rgb).save(file, 'WEBP')
    factory, accept = Image.OPEN['WEBP']
    late = lambda *args: (is_back.wait(20), factory(*args))[1]  # noqa: E731
    monkeypatch.setitem(Image.OPEN, 'WEBP', (late, accept))
    options = dict(data=file.getvalue(), max_pixels=HEIGHT * WIDTH)
    with ThreadPoolExecutor(1) as threads:
        with decoding._without_pillows_limit(HEIGHT * WIDTH):
            other = threads.submit(read_picture, 'x', **options)
            wait([other], 0.1)  # it may look at the limit now
        is_back.set()
        assert other.result().shape == rgb.shape


def test_reasons_are_one_line_and_survive_pickling():
    error = UnusablePicture('a\nb.png', 'two\nlines')
    assert str(error) == (
        r"picture 'a\nb.png' cannot be used: two lines; replace, convert or remove the file"
    )
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.path, copy.reason, str(copy)) == (error.path, error.reason, str(error))
