"""Published files together are a checkpoint that translates as they do, and are files again."""

from collections import OrderedDict

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from sesim_mmagic.apis import init_translator
from sesim_mmagic.converters import join, split
from sesim_mmagic.engine.plain_settings import read_settings
from sesim_mmagic.registry import MODELS
from tests.golden import field
from tests.test_apis.inference import translated

from . import published
from .published import drawn, filled, listed, same

WIDTH = 4
G, D = published.resnet(WIDTH, 5), published.patch_gan(WIDTH)
F = published.perceptrons((3, 2 * WIDTH, *[4 * WIDTH] * 3), 6)
FILES = {'G.pth': G.state_dict(), 'D.pth': D.state_dict(), 'F.pth': F.state_dict()}
HEADS = published.heads((256, 512, 512)).state_dict()
CYCLE = {letter: published.resnet(WIDTH, 2, blur=False).state_dict() for letter in ('A', 'B')}
CYCLE_D = {letter: published.patch_gan(WIDTH, blur=False).state_dict() for letter in ('A', 'B')}


def picture(height=20, width=28):
    """A colourful picture, BGR."""
    values = (127.5 * (field((height, width, 3), 4).numpy() + 1)).astype(np.uint8)
    values[..., 0] //= 8
    return values


def by_hand(network, picture):
    """The translation of a BGR picture as the authors' code makes it: by its RGB tensor."""
    rgb = torch.from_numpy(picture[..., ::-1].copy()).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        translated = network.eval()(rgb / 127.5 - 1)[0]
    values = ((translated + 1) * 127.5).clamp(0, 255).round().permute(1, 2, 0)
    return values.numpy().astype(np.uint8)[..., ::-1]


def written(checkpoint, folder, name='converted.pth'):
    torch.save(checkpoint, folder / name)
    return str(folder / name)


def split_files(checkpoint):
    return {name: network.tensors for name, network in split(checkpoint, 'it')[0].items()}


def agree(found, expected):
    """Equal but for the rounding of single values."""
    difference = np.abs(found.astype(int) - expected.astype(int))
    return found.shape == expected.shape and difference.max() <= 1 and difference.mean() < 0.01


# ------------------------------------------------------------------------------- join


def test_a_picture_is_translated_as_by_the_published_network(tmp_path):
    checkpoint, _ = join(FILES, 'horse', 'zebra')
    model = init_translator(None, written(checkpoint, tmp_path), device='cpu')
    (found,) = translated(model, picture())
    assert agree(found, by_hand(G, picture()))
    # Were channels in another order, the picture would be another one.
    assert not agree(found, by_hand(G, picture()[..., ::-1])[..., ::-1])


def test_both_directions_of_cyclegan(tmp_path):
    checkpoint, _ = join(
        dict(G_A=CYCLE['A'], D_A=CYCLE_D['A']),
        'horse',
        'zebra',
        dict(G_B=CYCLE['B'], D_B=CYCLE_D['B']),
    )
    model = init_translator(None, written(checkpoint, tmp_path), device='cpu')
    for domain, letter in (('zebra', 'A'), ('horse', 'B')):
        reference = published.resnet(WIDTH, 2, blur=False)
        reference.load_state_dict(CYCLE[letter])
        (found,) = translated(model, picture(), domain)
        assert agree(found, by_hand(reference, picture()))
    found = split_files(checkpoint)
    assert sorted(found) == [f'latest_net_{kind}_{way}.pth' for kind in 'DG' for way in 'AB']
    for letter in ('A', 'B'):
        assert same(found[f'latest_net_G_{letter}.pth'], CYCLE[letter])
        assert same(found[f'latest_net_D_{letter}.pth'], CYCLE_D[letter])


def test_one_generator_of_cyclegan_is_enough(tmp_path):
    checkpoint, _ = join({'horse2zebra.pth': CYCLE['A']}, 'horse', 'zebra')
    reference = published.resnet(WIDTH, 2, blur=False)
    reference.load_state_dict(CYCLE['A'])
    model = init_translator(None, written(checkpoint, tmp_path), device='cpu')
    (found,) = translated(model, picture())
    assert agree(found, by_hand(reference, picture()))


def test_single_image_model_translates(tmp_path):
    generator, discriminator = 'latest_net_G.pth', 'latest_net_D.pth'
    files = {
        generator: filled(listed(f'single_image/{generator}')),
        discriminator: drawn(listed(f'single_image/{discriminator}')),
    }
    checkpoint, _ = join(files, 'photo', 'painting', tanh=True)
    model = init_translator(None, written(checkpoint, tmp_path), device='cpu')
    (found,) = translated(model, picture(21, 30))
    assert found.shape == (21, 30, 3) and found.std() > 10
    assert all(same(split_files(checkpoint)[n], files[n]) for n in files)


@pytest.mark.parametrize(
    'files, back',
    [
        (FILES, {}),
        ({'G': G.state_dict(), 'F': HEADS}, {}),
        ({'G': CYCLE['A'], 'D': CYCLE_D['A']}, {'G': CYCLE['B'], 'D': CYCLE_D['B']}),
    ],
    ids=['CUT', 'F-LSeSim', 'CycleGAN'],
)
def test_the_embedded_config_builds_a_model_that_takes_every_tensor(files, back):
    checkpoint, _ = join(files, 'horse', 'zebra', back)
    text = checkpoint['meta']['cfg']
    config = Config.fromstring(text, '.py')
    assert read_settings(text)['model'] == config.model.to_dict()
    assert config.model.data_preprocessor.output_channel_order == 'RGB'
    if 'feature_net' in config.model.get('structure_loss', {}):
        config.model.structure_loss.feature_net.update(pretrained=None, seed=0)
        assert config.model.structure_loss.normalize is False  # as the authors train heads
    init_default_scope(config.default_scope)
    model = MODELS.build(config.model)
    found = model.load_state_dict(checkpoint['state_dict'], strict=False)
    assert not found.unexpected_keys
    assert all(name.startswith('image_buffers.') for name in found.missing_keys)
    assert all(isinstance(value, str) for value in checkpoint['meta'].values())


def test_sizes_are_padded_to_what_the_generator_halves(tmp_path):
    deep = published.resnet(2, 1, downs=3)
    checkpoint, _ = join({'G': deep.state_dict()}, 'a', 'b')
    model = init_translator(None, written(checkpoint, tmp_path), device='cpu')
    assert translated(model, picture(20, 28))[0].shape == (20, 28, 3)
    assert model.size_divisor == 8


def test_layers_of_heads():
    def layers(files, *args):
        return read_settings(join(files, 'a', 'b', None, *args)[0]['meta']['cfg'])['model'][
            'structure_loss'
        ]['layers']

    generator = {'G': G.state_dict()}
    assert layers({**generator, 'F': HEADS}) == ('relu3_1', 'relu4_1', 'relu4_3')
    assert layers(FILES) == (0, 4, 8, 12, 16)
    narrow = published.heads((64, 128)).state_dict()
    named = ['relu1_1', 'relu2_2']
    assert list(layers({**generator, 'F': narrow}, named)) == named
    other = published.perceptrons((3, 4 * WIDTH), 5).state_dict()
    assert layers({**generator, 'F': other}, ['0', '12']) == (0, 12)
    for files, args, words in (
        (
            {**generator, 'F': narrow},
            [],
            'LSeSimLoss: layers must be.*Name the layers .* --layers .taken were: none',
        ),
        ({**generator, 'F': narrow}, [['relu1_1', 'relu3_1']], 'heads.conv_1.0.weight.*--layers'),
        ({**generator, 'F': other}, [], 'channels of each of the layers.*--layers'),
        ({**generator, 'F': other}, [['12', '0']], 'ascending numbers.*--layers'),
        ({**generator, 'F': other}, [['0', '99']], 'ascending numbers.*--layers'),
        ({**generator, 'F': other}, [['0', 'relu1_1']], '--layers'),
        ({**generator, 'F': other}, [['0', '4']], 'not the .3, 16.'),
        # MMagic's generator has no features to see.
        ({'G': CYCLE['A'], 'F': FILES['F.pth']}, [], 'ResnetGenerator has no encode'),
    ):
        with pytest.raises(ValueError, match=f'do not make one model: .*{words}'):
            join(files, 'a', 'b', None, *args)


@pytest.mark.parametrize(
    'files, back, words',
    [
        ({'D.pth': FILES['D.pth']}, {}, "one generator into 'zebra'.*D.pth holds BlurPatchGAN"),
        ({'a.pth': FILES['G.pth'], 'b.pth': FILES['G.pth']}, {}, 'a.pth holds.*b.pth holds'),
        (FILES, {'back.pth': FILES['G.pth']}, 'for one direction alone.*F.pth holds PatchNCE'),
        ({'G': CYCLE['A']}, {'G': FILES['G.pth']}, "one model: 'generators.horse.* is missing"),
        (
            {'G': CYCLE['A'], 'D': CYCLE_D['A']},
            {'G': CYCLE['B']},
            "one model: 'discriminators.horse.* is missing",
        ),
        ({'G': CYCLE['A']}, {'D': CYCLE_D['B']}, "one generator into 'horse'.*: D holds"),
    ],
)
def test_files_that_do_not_belong_together(files, back, words):
    with pytest.raises(ValueError, match=words):
        join(files, 'horse', 'zebra', back)


@pytest.mark.parametrize('names', [('a', 'a'), ('a.b', 'c'), ('', 'b')])
def test_names_of_domains(names):
    with pytest.raises(ValueError, match='different names without dots'):
        join(FILES, *names)


# ------------------------------------------------------------------------------- split


def test_files_come_back_bit_for_bit():
    files = {f'latest_net_{name}': content for name, content in FILES.items()}
    checkpoint, converted = join(files, 'horse', 'zebra')
    assert set(converted) == set(files)
    found, remarks = split_files(checkpoint), split(checkpoint, 'it')[1]
    assert list(found) == list(files) and not remarks
    assert all(same(found[name], files[name]) for name in files)
    again, _ = join(found, 'horse', 'zebra')
    assert (
        same(again['state_dict'], checkpoint['state_dict']) and again['meta'] == checkpoint['meta']
    )


def trained(order=None, ema=None, **settings):
    """A model of this package and its checkpoint, as a training leaves it."""
    init_default_scope('mmagic')
    preprocessor = dict(type='DataPreprocessor', output_channel_order=order)
    model = dict(
        type='sesim_mmagic.OneSidedTranslator',
        source_domain='horse',
        target_domain='zebra',
        data_preprocessor=preprocessor,
        generator=dict(type='sesim_mmagic.ResNetBlurGenerator', base_channels=WIDTH, num_blocks=5),
        discriminator=dict(type='sesim_mmagic.BlurPatchGAN', base_channels=WIDTH),
        structure_loss=dict(
            type='sesim_mmagic.PatchNCELoss',
            channels=(3, 2 * WIDTH, *[4 * WIDTH] * 3),
            width=6,
        ),
        ema=ema,
        **settings,
    )
    config = Config(dict(model=model))
    network = MODELS.build(config.model)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            torch.nn.init.normal_(tensor, std=0.3)
            if 'generator_ema' in name:
                tensor.mul_(0.5)
    return network.eval(), dict(
        meta=dict(cfg=config.pretty_text), state_dict=OrderedDict(network.state_dict())
    )


@pytest.mark.parametrize('order', [None, 'BGR', 'RGB'])
@pytest.mark.parametrize('ema', [None, dict(momentum=0.1)])
def test_trained_models_translate_the_same_as_published_files(order, ema, tmp_path):
    """Networks that were trained on BGR leave for code that reads RGB."""
    network, checkpoint = trained(order, ema)
    files, remarks = split(checkpoint, 'it')
    remarks = ' '.join(remarks)
    assert ('From BGR' in remarks) == (order != 'RGB')
    assert ('moving averages' in remarks) == bool(ema)
    assert 'no place for it: image_buffers.' in remarks
    reference = published.resnet(WIDTH, 5)
    reference.load_state_dict(files['latest_net_G.pth'].tensors)
    model = init_translator(None, written(checkpoint, tmp_path), device='cpu')
    (expected,) = translated(model, picture())
    assert agree(by_hand(reference, picture()), expected)


@torch.no_grad()
def test_discriminators_and_perceptrons_that_saw_bgr():
    network, checkpoint = trained()
    found = split_files(checkpoint)
    rgb = torch.rand(1, 3, 40, 40)
    reference = published.patch_gan(WIDTH)
    reference.load_state_dict(found['latest_net_D.pth'])
    assert torch.allclose(reference(rgb), network.discriminators['zebra'](rgb.flip(1)), atol=1e-4)
    mlps = published.perceptrons((3, 2 * WIDTH, *[4 * WIDTH] * 3), 6)
    mlps.load_state_dict(found['latest_net_F.pth'])
    patches = torch.rand(5, 3)
    expected = network.structure_loss.mlp_0(patches.flip(1))
    assert torch.allclose(mlps['mlp_0'](patches), expected, atol=1e-5)


@torch.no_grad()
def test_stylegan2_that_saw_bgr():
    shapes = listed('single_image/latest_net_G.pth')
    checkpoint, _ = join({'G': filled(shapes)}, 'a', 'b', tanh=True)
    rgb = split_files(checkpoint)['latest_net_G.pth']
    meta = dict(cfg=checkpoint['meta']['cfg'].replace("'RGB'", "'BGR'"))
    bgr = split_files(dict(checkpoint, meta=meta))['latest_net_G.pth']
    changed = {name for name in rgb if not torch.equal(rgb[name], bgr[name])}
    first, last = 'encoder.convs.1.0.weight', 'decoder.convs.5.0.weight'
    assert changed == {first, last, 'decoder.convs.5.1.bias'}
    assert torch.equal(bgr[first], rgb[first].flip(1))
    assert torch.equal(bgr[last], rgb[last].flip(0))
    bias = 'decoder.convs.5.1.bias'
    assert torch.equal(bgr[bias], rgb[bias].flip(1)) and bgr[bias].shape == (1, 3, 1, 1)


@torch.no_grad()
def test_sincut_and_single_image_fsesim_are_told_apart_or_asked_for(tmp_path):
    """Generators of equal tensors: the file does not say whether a tanh ends them."""
    files = {name: filled(listed(f'sincut/latest_net_{name}.pth')) for name in 'GD'}
    with pytest.raises(ValueError, match='--tanh .*F-LSeSim.* or --no-tanh .*does not say'):
        join(files, 'a', 'b')
    with pytest.raises(ValueError, match='needed for a StyleGAN2 generator.* for no other'):
        join({'G': FILES['G.pth']}, 'a', 'b', tanh=False)
    translated, images = {}, torch.rand(1, 3, 32, 32) * 2 - 1
    for tanh in (True, False):
        checkpoint, converted = join(files, 'a', 'b', tanh=tanh)
        assert converted['D'].config['last_size'] == 4
        model = init_translator(None, written(checkpoint, tmp_path), device='cpu')
        translated[tanh] = model.generators['b'](images)
    assert translated[False].abs().max() > 1
    assert torch.equal(translated[True], translated[False].tanh())


def test_averages_of_two_directions():
    cycle, _ = join({'G': CYCLE['A']}, 'horse', 'zebra', {'G': CYCLE['B']})
    averages = {
        name.replace('generators.', 'generator_ema.module.'): tensor + 1
        for name, tensor in cycle['state_dict'].items()
    }
    state_dict = {**cycle['state_dict'], **averages, 'generator_ema.steps': torch.tensor(3)}
    files, remarks = split(dict(cycle, state_dict=state_dict), 'it')
    assert len(remarks) == 1 and 'moving averages' in remarks[0]
    for letter in ('A', 'B'):
        expected = {name: tensor + 1 for name, tensor in CYCLE[letter].items()}
        assert same(files[f'latest_net_G_{letter}.pth'].tensors, expected)


@pytest.mark.parametrize(
    'checkpoint, words',
    [
        (FILES['G.pth'], 'it: no checkpoint of this package'),
        (dict(meta={}, state_dict=FILES['G.pth']), 'no checkpoint of this package'),
        (
            dict(meta=dict(cfg='x = ('), state_dict=FILES['G.pth']),
            'it: no checkpoint of this package',
        ),
        (dict(meta=dict(cfg='x = 3'), state_dict=FILES['G.pth']), "it: .* with a 'model'"),
        (dict(meta=dict(cfg='model = dict()'), state_dict=FILES['G.pth']), 'generators into'),
        (
            dict(
                meta=dict(cfg="model = dict(target_domain='b')"),
                state_dict={'generators.b.content_encoder.0.weight': torch.zeros(1)},
            ),
            'it, generator b: .* networks of MUNIT',
        ),
    ],
)
def test_other_checkpoints(checkpoint, words):
    with pytest.raises(ValueError, match=words):
        split(checkpoint, 'it')
