"""What the inferencer makes of a picture: any kind and size, alone and in batches."""

import warnings

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from sesim_mmagic.apis import SeSimInferencer
from sesim_mmagic.networks import fast_convolutions
from sesim_mmagic.translators.styles import draw_styles
from sesim_mmagic.utils.images import read_picture
from tests.test_apis.inference import STYLED, Calls, build, config, picture, save


@pytest.fixture(scope='module')
def model():
    return build()


@pytest.fixture(scope='module')
def styled():
    return build(config(STYLED, 'MultiModalTranslator', two_sided=False, seed=3, num_styles=4))


@pytest.fixture
def inferencer(model):
    return SeSimInferencer(model)


def expected(model, array):
    """By the model alone, one picture at a time."""
    images = torch.from_numpy(array.transpose(2, 0, 1).copy())[None] / 127.5 - 1
    with torch.no_grad():
        found = model.translate(images, 'b')[0]
    return (found * 127.5 + 127.5).clamp(0, 255).round().byte().numpy().transpose(1, 2, 0)


def assert_close(found, wanted, levels=1):
    assert found.shape == wanted.shape and found.dtype == wanted.dtype == np.uint8
    assert np.abs(found.astype(int) - wanted).max() <= levels


@pytest.mark.parametrize('size', [(2, 3), (3, 50), (17, 8), (64, 33)])
def test_any_size_and_aspect(inferencer, model, size):
    array = picture(*size)
    (found,) = inferencer(array)['visualization']
    assert_close(found, expected(model, array))


def test_checkpoint_with_its_config_or_with_another(model, tmp_path):
    path = save(tmp_path / 'model.pth', model)
    wanted = expected(model, picture())
    (tmp_path / 'config.py').write_text(f'model = {config()!r}')
    for given in (None, tmp_path / 'config.py'):
        found = SeSimInferencer(path, given, device='cpu')(picture())['visualization'][0]
        assert_close(found, wanted)
    with pytest.raises(FileNotFoundError, match='gone.pth'):
        SeSimInferencer(str(tmp_path / 'gone.pth'))


@pytest.mark.parametrize('kind', ['grey', 'palette', 'deep', 'deep grey', 'turned'])
def test_kinds_of_pictures(inferencer, model, tmp_path, kind):
    path, pixels = tmp_path / f'{kind}.png', picture()
    deep = np.random.default_rng(1).integers(0, 65536, (20, 28, 3), dtype=np.uint16)
    if kind == 'palette':
        Image.fromarray(pixels).convert('P').save(path)
        pixels = np.asarray(Image.open(path).convert('RGB'))[..., ::-1]
    elif kind == 'turned':
        exif = Image.Exif()
        exif[0x0112] = 6  # the camera was turned: upright is a quarter turn clockwise
        Image.fromarray(pixels[..., ::-1].copy()).save(path, exif=exif)
        pixels = np.rot90(pixels, -1)
    elif kind == 'grey':
        cv2.imwrite(str(path), pixels[..., 0])
        pixels = np.repeat(pixels[..., :1], 3, axis=2)
    else:
        deep = deep if kind == 'deep' else deep[..., 0]
        cv2.imwrite(str(path), deep)
        pixels = np.round(deep / 257).astype(np.uint8).reshape(20, 28, -1)
        pixels = np.repeat(pixels, 3 // pixels.shape[2], axis=2)
    (found,) = inferencer(path)['visualization']
    assert_close(found, expected(model, pixels))


@pytest.mark.parametrize('turned', [False, True])
def test_alpha_is_kept(inferencer, model, tmp_path, turned):
    pixels = np.dstack([picture(), np.random.default_rng(2).integers(0, 256, (20, 28))])
    pixels = pixels.astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6 if turned else 1
    path = tmp_path / 'alpha.png'
    Image.fromarray(pixels[..., [2, 1, 0, 3]]).save(path, exif=exif)
    upright = np.rot90(pixels, -1) if turned else pixels
    inferencer(path, tmp_path / 'out')
    found = cv2.imread(str(tmp_path / 'out/alpha.png'), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(found[..., 3], upright[..., 3])
    wanted = expected(model, read_picture(path))  # over white
    assert_close(found[..., :3], wanted)
    # An array is what the file is.
    (array,) = inferencer(upright)['visualization']
    assert_close(array, found, 0)


def test_each_picture_of_a_batch_gets_its_own_alpha(inferencer):
    alphas = [np.full((20, 28), level, np.uint8) for level in (40, 90)]
    given = [np.dstack([picture(), alphas[0]]), picture(), np.dstack([picture(), alphas[1]])]
    found = inferencer(given, batch_size=3)['visualization']
    assert [array.shape[2] for array in found] == [4, 3, 4]
    assert np.array_equal(found[0][..., 3], alphas[0])
    assert np.array_equal(found[2][..., 3], alphas[1])


def test_arrays_of_every_kind(inferencer, model):
    grey, deep = picture()[..., 0], picture().astype(np.uint16) * 257
    given = [grey, grey[..., None], deep, picture()[:, ::-1]]
    wanted = [np.repeat(grey[..., None], 3, axis=2)] * 2 + [picture(), picture()[:, ::-1]]
    result = inferencer(given)
    for found, array in zip(result['visualization'], wanted, strict=True):
        assert_close(found, expected(model, array))
    assert [p['status'] for p in result['predictions']] == ['translated'] * 4
    assert result['predictions'][1]['source'] == 'array 000001'


def test_neighbours_of_one_size_are_computed_together(inferencer, model):
    sizes = [(20, 28)] * 3 + [(16, 16)] * 2 + [(20, 28)]
    arrays = [picture(*size, seed=i) for i, size in enumerate(sizes)]
    with Calls(model.generators['b']) as calls:
        together = inferencer(arrays, batch_size=2)['visualization']
    assert [shape[0] for shape in calls] == [2, 1, 2, 1]
    for array, found in zip(arrays, together, strict=True):
        assert_close(found, expected(model, array))


def test_styles(styled):
    inferencer, arrays = SeSimInferencer(styled), [picture(seed=i) for i in range(3)]
    styles = draw_styles(11, 3, seed=1)  # more than are decoded at once
    result = inferencer(arrays, styles=styles, batch_size=2)['visualization']
    for found, array in zip(result, arrays, strict=True):
        images = torch.from_numpy(array.transpose(2, 0, 1).copy())[None] / 127.5 - 1
        assert len(found) == 11
        for left, right in zip(found, styled.translate(images, 'b', styles)[0], strict=True):
            right = (right * 127.5 + 127.5).clamp(0, 255).round().byte()
            assert_close(left, right.numpy().transpose(1, 2, 0))
    # Without styles it is the first one that the model draws.
    (alone,) = inferencer(arrays[0])['visualization']
    images = torch.from_numpy(arrays[0].transpose(2, 0, 1).copy())[None] / 127.5 - 1
    drawn = styled.translate(images)[0] * 127.5 + 127.5
    assert_close(alone, drawn.clamp(0, 255).round().byte().numpy().transpose(1, 2, 0), 0)


def test_moving_average_translates():
    model = build(config(ema=dict(momentum=0.5)))
    before = SeSimInferencer(model)(picture())['visualization'][0]
    for parameter in model.generators.parameters():
        torch.nn.init.zeros_(parameter)
    assert np.array_equal(SeSimInferencer(model)(picture())['visualization'][0], before)


def test_half_precision(model):
    found = SeSimInferencer(model, precision='bfloat16')
    seen = []
    hook = model.generators['b'].register_forward_hook(lambda *args: seen.append(args[2].dtype))
    (half,) = found(picture())['visualization']
    hook.remove()
    assert seen == [torch.bfloat16] and not torch.is_autocast_enabled('cpu')
    wanted = expected(model, picture()).astype(int)
    assert 0 < np.abs(half - wanted).mean() < 2
    # Steps of 8 bits survive the way to a picture: bfloat16 has none between 250 and 252.
    assert len(np.unique(half)) > 150
    with pytest.raises(ValueError, match="float16 is for accelerators, use precision='bfloat16'"):
        SeSimInferencer(model, precision='float16')
    for device in ('gpu', 'cpu:x', 'cuda:99'):
        with pytest.raises(ValueError, match=f"device '{device}' cannot be used .*it is 'c"):
            SeSimInferencer(model, device=device)
    with pytest.raises(ValueError, match="float32, bfloat16, float16, got 'int8'"):
        SeSimInferencer(model, precision='int8')


@pytest.mark.parametrize(('setting', 'wanted'), [(None, True), (True, True), (False, False)])
def test_channels_last(model, setting, wanted):
    layouts = []

    def note(network, inputs):
        layouts.append(inputs[0].is_contiguous(memory_format=torch.channels_last))

    hook = model.generators['b'].register_forward_pre_hook(note)
    (found,) = SeSimInferencer(model, channels_last=setting)(picture())['visualization']
    hook.remove()
    assert layouts == [wanted]
    assert_close(found, expected(model, picture()))


def test_compile():
    model = build(config(ema=dict(momentum=0.5)))
    wanted = expected(model, picture())
    found = SeSimInferencer(model, compile=True)
    # What translates is compiled; here without a compiler.
    assert model.generator_ema.module['b'].model._compiled_call_impl is not None
    with torch.compiler.set_stance('force_eager'):
        assert_close(found(picture())['visualization'][0], wanted)


def test_large_pictures_are_computed_in_strips(model, styled):
    array = picture(300, 40)
    with Calls(model.generators['b']) as calls:
        (found,) = SeSimInferencer(model, strip_pixels=300 * 40 - 1)(array)['visualization']
    assert calls == [], 'it was computed whole'
    assert_close(found, expected(model, array))
    with Calls(model.generators['b']) as calls:
        SeSimInferencer(model, strip_pixels=300 * 40)(array)
    assert calls == [(1, 3, 300, 40)]
    styles = draw_styles(2, 3, seed=1)
    strips, whole = (
        SeSimInferencer(styled, strip_pixels=most)(array, styles=styles)['visualization'][0]
        for most in (100, None)
    )
    for left, right in zip(strips, whole, strict=True):
        assert_close(left, right)


def test_noise_of_a_single_image_model_is_that_of_the_place():
    model = build(config(dict(type='sesim_mmagic.StyleGAN2Generator', base_channels=4)))
    for name, parameter in model.named_parameters():
        if 'noise' in name:
            torch.nn.init.constant_(parameter, 0.5)
    arrays = [picture(150, 40), picture(150, 40, seed=1)]
    wanted = [expected(model, array) for array in arrays]
    for settings in (dict(strip_pixels=1000), dict(strip_pixels=None)):
        found = SeSimInferencer(model, **settings)(arrays, batch_size=2)['visualization']
        for left, right in zip(found, wanted, strict=True):
            assert_close(left, right)


def test_what_cannot_be_computed_in_strips_is_said():
    unet = dict(type='UnetGenerator', in_channels=3, out_channels=3, num_down=5, base_channels=4)
    settings = dict(
        type='sesim_mmagic.SeSimPix2Pix', generator=unet, discriminator=None,
        default_domain='b', reachable_domains=['b'], related_domains=['a', 'b'],
        data_preprocessor=dict(type='DataPreprocessor'),
    )  # fmt: skip
    model = build(settings)
    with pytest.warns(UserWarning, match='UnetGenerator cannot be computed in strips'):
        (found,) = SeSimInferencer(model, strip_pixels=100)(picture(37, 50))['visualization']
    assert found.shape == (37, 50, 3)  # MMagic's own models do not pad to what they need
    with warnings.catch_warnings():
        warnings.simplefilter('error', UserWarning)
        SeSimInferencer(model)(picture(37, 50))


def test_batch_norm_takes_the_whole_pictures_statistics_however_large_it_is():
    generator = dict(
        type='ResnetGenerator', in_channels=3, out_channels=3, base_channels=4, num_blocks=1,
        norm_cfg=dict(type='BN'),
    )  # fmt: skip
    settings = dict(
        type='sesim_mmagic.SeSimCycleGAN', generator=generator, discriminator=None,
        default_domain='b', reachable_domains=['b', 'a'], related_domains=['a', 'b'],
        data_preprocessor=dict(type='DataPreprocessor'),
    )  # fmt: skip
    model = build(settings)
    with pytest.warns(UserWarning, match='ResnetGenerator cannot be computed in strips'):
        (found,) = SeSimInferencer(model, strip_pixels=100)(picture(40, 48))['visualization']
    (wanted,) = SeSimInferencer(model)(picture(40, 48))['visualization']
    assert_close(found, wanted)


def test_what_the_memory_cannot_hold_together_is_computed_alone(inferencer, model):
    def little_memory(number, images):
        if len(images) * images.shape[2] > 40:
            raise torch.cuda.OutOfMemoryError('CUDA out of memory. Tried to allocate 2 GiB')

    arrays = [picture(20, seed=1), picture(20, seed=2), picture(20, seed=3), picture(60)]
    with Calls(model.generators['b'], little_memory):
        with pytest.warns(UserWarning, match='^1 of 4 not translated, array 000003: 28 x 60'):
            result = inferencer(arrays, batch_size=3)
    assert [p['status'] for p in result['predictions']] == ['translated'] * 3 + ['failed']
    assert '28 x 60 pixels are too many for the memory' in result['predictions'][3]['reason']
    assert result['visualization'][3] is None
    for array, found in zip(arrays[:3], result['visualization'], strict=False):
        assert_close(found, expected(model, array))


def test_faults_of_the_model_are_not_taken_for_bad_pictures(inferencer, model):
    def fault(number, images):
        raise RuntimeError('shapes do not fit')

    with Calls(model.generators['b'], fault), pytest.raises(RuntimeError, match='shapes'):
        inferencer(picture())


def test_wrong_arguments(inferencer, model, styled, tmp_path):
    with pytest.raises(ValueError, match='batch_size must be positive, got 0'):
        inferencer(picture(), batch_size=0)
    with pytest.raises(ValueError, match='strip_pixels must be positive or None, got 0'):
        SeSimInferencer(model, strip_pixels=0)
    with pytest.raises(ValueError, match="not 'c'"):
        inferencer(picture(), target_domain='c')
    with pytest.raises(ValueError, match='OneSidedTranslator has no styles'):
        inferencer(picture(), styles=torch.zeros(1, 3))
    for shape in ((1, 8), (1, 2, 3), (0, 3)):
        with pytest.raises(ValueError, match='shape'):
            SeSimInferencer(styled)(picture(), styles=torch.zeros(shape))
    with pytest.raises(ValueError, match='got int'):
        inferencer([3])
    with pytest.raises(ValueError, match='^array 000001: .*float32'):
        inferencer([picture(), np.zeros((4, 4, 3), np.float32)])


def test_convolutions_are_computed_faster_in_float32(model, monkeypatch):
    monkeypatch.setattr(fast_convolutions, '_LEAST_INPUTS', 1)
    monkeypatch.setattr(fast_convolutions, '_LEAST_OUTPUTS', 1)
    monkeypatch.setattr(fast_convolutions, '_LEAST_POSITIONS', 1)
    convolve, count = fast_convolutions.convolve_by_tiles, []

    def counted(*args):
        count.append(args)
        return convolve(*args)

    monkeypatch.setattr(fast_convolutions, 'convolve_by_tiles', counted)
    wanted = expected(model, picture())
    for settings, number in (
        (dict(), 6),
        (dict(strip_pixels=100), 6),
        (dict(precision='bfloat16'), 0),
    ):
        (found,) = SeSimInferencer(model, **settings)(picture())['visualization']
        assert_close(found, wanted, levels=1 if number else 30)
        assert len(count) >= number if number else not count
        count.clear()
