"""Features by a word, and the tool that chooses among them, on real pictures."""

import importlib
import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import timm
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from sklearn.datasets import load_sample_image

from sesim_mmagic.apis import evaluate_folder
from sesim_mmagic.apis.feature_nets import (
    describe,
    feature_settings,
    set_feature_settings,
)
from sesim_mmagic.losses import FSeSimLoss
from sesim_mmagic.networks import TimmFeatures
from sesim_mmagic.networks.timm_models import default_layers, stage_layers
from sesim_mmagic.registry import MODELS

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / 'tools/analysis'
LITE = 'tf_efficientnet_lite0'
VIT = 'vit_tiny_patch16_224'
CONFIG = ROOT / 'configs/fsesim/fsesim_resnet_1xb1-534kiters_horse2zebra.py'


@pytest.fixture(scope='module', autouse=True)
def tool():
    """The tool's module, imported as a script imports it."""
    sys.path.insert(0, str(TOOLS))
    yield importlib.import_module('feature_choice')
    sys.path.remove(str(TOOLS))
    for name in ('feature_choice', 'arguments', 'common'):
        del sys.modules[name]
    DefaultScope._instance_dict.clear()


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    """Cuts of two photos in 'a'; the same as negatives, with channels exchanged, in 'b'."""
    root = tmp_path_factory.mktemp('pictures')
    for name in 'ab':
        (root / name).mkdir()
    for number in range(4):
        photo = load_sample_image(('china.jpg', 'flower.jpg')[number % 2])
        cut = np.ascontiguousarray(photo[100 + 40 * number :, 200:][:64, :64])
        for name, picture in dict(a=cut, b=255 - np.roll(cut, 1, axis=2)).items():
            cv2.imwrite(str(root / name / f'{number}.png'), picture)
    return root


def run(tool, capsys, *argv):
    tool.main([str(argument) for argument in argv])
    return capsys.readouterr().out


def refusal(tool, capsys, *argv):
    with pytest.raises(SystemExit) as error:
        run(tool, capsys, *argv)
    assert error.value.code == 2
    message = capsys.readouterr().err
    assert 'Traceback' not in message
    return message.split('error:')[1].replace('\n', ' ')


def table(output):
    """By layer: side of the map, distances of same and other structure, ratio, RMS, star."""
    row = re.compile(r'^([* ]) (\S+) +(\d+) x \d+ +(\S+) +(\S+) +(\S+) +(\S+)$', re.M)
    return {m[2]: (*map(float, m.groups()[2:]), m[1] == '*') for m in row.finditer(output)}


def test_words_are_networks():
    def timm_net(model, pretrained):
        return dict(type='sesim_mmagic.TimmFeatures', model=model, pretrained=pretrained)

    vgg16 = dict(type='sesim_mmagic.VGG16Features')
    assert feature_settings('random') == dict(feature_net=dict(vgg16, pretrained=None, seed=0))
    for word in ('torchvision', 'vgg.pth'):
        assert feature_settings(word) == dict(feature_net=dict(vgg16, pretrained=word))
    packaged = dict(feature_net=timm_net(LITE, 'package'), layers=('blocks.1', 'blocks.2'))
    assert feature_settings('package') == packaged and default_layers(LITE) == packaged['layers']
    keys = dict(layers=('blocks.11.attn.key',))
    of_file = dict(keys, feature_net=timm_net(VIT, 'a/b=c.pth'))
    assert feature_settings(f'timm:{VIT}=a/b=c.pth') == of_file
    assert feature_settings(f'timm:{VIT}') == dict(keys, feature_net=timm_net(VIT, 'timm'))
    assert describe(feature_settings('x/vgg.pth')['feature_net']) == 'VGG16: vgg.pth'
    assert describe(packaged['feature_net']) == f'{LITE}: package'
    with pytest.raises(ValueError, match=r"no model 'resnet8'; names like it are resnet18"):
        feature_settings('timm:resnet8')


def test_words_are_networks_of_sets():
    """The last stages of any network; a name for each, of the file where weights are one's."""
    for way in ('clean', 'legacy'):
        for word, pretrained in ((way, 'download'), (f'{way}=a/pt.pth', 'a/pt.pth')):
            inception = dict(
                type='sesim_mmagic.InceptionFeatures', pretrained=pretrained, resize=way
            )
            assert set_feature_settings(f'inception:{word}') == inception
    names = dict.fromkeys(('package', f'timm:{LITE}', f'timm:{LITE}=x/w.pth'), LITE)
    names.update({f'timm:{LITE}=x/w.pth': f'{LITE}_w', 'x/hed.pth': 'vgg16_hed'})
    for word, name in (names | dict(random='vgg16_random', torchvision='vgg16')).items():
        assert MODELS.build(set_feature_settings(word)).name == name
    assert set_feature_settings('random')['network']['layers'] == ('relu3_3', 'relu4_3', 'relu5_3')
    layers = set_feature_settings(f'timm:{VIT}')['network']['layers']
    assert layers == tuple(f'blocks.{number}.attn.key' for number in (9, 10, 11))
    # A name means one score, in the data set's config and here.
    openmoji = Config.fromfile(ROOT / 'configs/_base_/datasets/openmoji.py')
    assert set_feature_settings('package')['network'] == openmoji.features


def test_stages_are_known_with_their_strides():
    layers = stage_layers(LITE)
    net = TimmFeatures(LITE, tuple(layers), pretrained=None, seed=0)
    assert net.strides == layers and list(layers.values()) == [2, 4, 8, 16, 32]
    keys = stage_layers(VIT)
    assert list(keys) == [f'blocks.{number}.attn.key' for number in range(12)]
    assert set(keys.values()) == {16}


def test_the_table_is_what_losses_say(tool, capsys, folders, monkeypatch):
    monkeypatch.setattr(tool, 'QUERIES', -1)
    argv = '--pairs', folders / 'a', folders / 'b', '--side', 64, '--feature-nets', 'package'
    found = table(run(tool, capsys, *argv, '--limit', 3))
    assert list(found) == ['blocks.0', 'blocks.1', 'blocks.2', 'blocks.4']
    assert [row[0] for row in found.values()] == [32, 16, 8, 4]
    assert [row[-1] for row in found.values()] == [True, True, False, False]

    pictures = [
        [cv2.imread(str(folders / f'{name}/{number}.png')) for number in range(3)] for name in 'ab'
    ]
    sources, sames = (torch.from_numpy(np.stack(p)).movedim(-1, 1) / 127.5 - 1 for p in pictures)
    settings = {**feature_settings('package'), 'layers': list(found)}
    loss = FSeSimLoss(**settings, num_patches=-1, loss_weight=1.0)
    for row, a, b in zip(found.values(), loss.extract(sources), loss.extract(sames), strict=True):
        same, other = loss.compare([a], [b]), loss.compare([a], [b.roll(-1, 0)])
        assert row[1:3] == pytest.approx((same.item(), other.item()), abs=1e-4)
        assert row[3] == pytest.approx(float(same / other), abs=6e-3)
        assert row[4] == pytest.approx(torch.cat([a, b]).square().mean().sqrt().item(), rel=6e-3)
    assert all(row[3] < 0.9 for row in found.values())


def test_pictures_whose_structure_no_layer_tells(tool, capsys, folders, monkeypatch):
    monkeypatch.setattr(tool, 'BLIND', -1)
    argv = '--pairs', folders / 'a', folders / 'b', '--side', 64, '--feature-nets', 'random'
    assert 'WARNING: above -1 no layer tells the structure' in run(tool, capsys, *argv)


def test_the_config_line_of_the_best_network(tool, capsys, folders, tmp_path):
    """Divided by what the tool prints, maps have a root mean square of 1."""
    argv = '--pairs', folders / 'a', folders / 'b', '--side', 64
    argv += '--feature-nets', 'random', 'package'
    output = run(tool, capsys, *argv)
    assert 'WARNING' not in output
    assert output.splitlines()[1] == 'VGG16: random' and f'best: {LITE}: package, mean' in output
    line = output.splitlines()[-1]
    path = tmp_path / 'config.py'
    path.write_text(f"_base_ = '{CONFIG}'\nmodel = dict({line})\n")
    settings = Config.fromfile(path).model.structure_loss
    kind = settings.pop('type')
    loss = FSeSimLoss(**settings)
    net = loss.feature_net
    assert kind == 'sesim_mmagic.FSeSimLoss' and loss.loss_weight == 10
    assert not loss.normalize
    assert net.layers == ('blocks.0', 'blocks.1') and net.pretrained == 'package'
    args = tool.parse_args([str(argument) for argument in argv])
    images = tool.to_images(*sum(map(list, tool.read_pairs(args)), []))
    for maps in net(images).values():
        assert maps.square().mean().sqrt().item() == pytest.approx(1, abs=0.01)


def test_choice(tool):
    sizes, ratios = (64, 32, 16, 16, 8), (0.3, 0.5, 0.2, 0.4, 0.1)
    rows = [
        tool.Row(str(number), (size, size), ratio, 1.0, 2.0)
        for number, (size, ratio) in enumerate(zip(sizes, ratios, strict=True))
    ]
    assert [row.layer for row in tool.choose(rows)] == ['0', '2', '3']
    assert tool.mean_ratio(tool.choose(rows)) == pytest.approx(0.3)
    assert tool.choose(rows[4:]) == []


def test_colours_follow_from_the_seed(tool, folders):
    def sames(seed):
        argv = [
            '--pictures',
            str(folders / 'a'),
            '--seed',
            str(seed),
            '--side',
            '64',
            '--limit',
            '3',
        ]
        sources, sames = tool.read_pairs(tool.parse_args(argv))
        assert len(sources) == len(sames) == 3
        assert all(
            np.abs(a - b.astype(int)).mean() > 10 for a, b in zip(sources, sames, strict=True)
        )
        return np.stack(sames)

    assert np.array_equal(sames(0), sames(0)) and not np.array_equal(sames(0), sames(5))


def test_a_transformer_of_a_file(tool, capsys, folders, tmp_path):
    torch.manual_seed(0)
    path = tmp_path / 'vit.pth'
    torch.save(timm.create_model(VIT).state_dict(), path)
    argv = '--pictures', folders / 'a', '--limit', 2, '--feature-nets', f'timm:{VIT}={path}'
    output = run(tool, capsys, *argv, '--side', 64)
    assert list(table(output)) == [f'blocks.{number}.attn.key' for number in range(12)]
    assert output.splitlines()[-1].endswith('none is chosen; give a larger --side')


@pytest.mark.parametrize(
    ('argv', 'message'),
    [
        ([], 'one of the arguments --pairs --pictures is required'),
        (['--pictures', 'a', '--limit', '1'], '--limit must be 2 or more'),
        (['--pictures', 'none'], "'none' is (no|not a) folder"),
        (['--pictures', 'one'], 'holds one picture; at least two are compared'),
        (['--pairs', 'a', 'one'], 'have 1 names in common'),
        (['--pictures', 'a', '--feature-nets', 'timm:vit9'], "has no model 'vit9'"),
        (
            ['--pictures', 'a', '--side', '48', '--feature-nets', f'timm:{VIT}'],
            f'--side 48 is too small for timm:{VIT}, which needs 64 or more',
        ),
        (
            ['--pictures', 'a', '--feature-nets', 'no.pth', f'timm:{LITE}=gone.pth'],
            r"'no.pth' do not exist; .*'gone.pth' do not exist; give --feature-nets package \(pip",
        ),
    ],
)
def test_mistakes(tool, capsys, folders, tmp_path, argv, message):
    (tmp_path / 'one').mkdir()
    (tmp_path / 'one/0.png').write_bytes((folders / 'a/0.png').read_bytes())
    places = dict(a=folders / 'a', one=tmp_path / 'one')
    assert re.search(message, refusal(tool, capsys, *(places.get(word, word) for word in argv)))


def test_structure_distance_of_packaged_features(folders):
    """What --feature-net says to tools/evaluate.py: the distance of these features."""
    scores = evaluate_folder(folders / 'b', source=folders / 'a', feature_net='package')
    loss = FSeSimLoss(**feature_settings('package'), num_patches=-1, loss_weight=1.0)
    pictures = [[cv2.imread(str(folders / f'{f}/{n}.png')) for n in range(4)] for f in 'ab']
    images = (torch.from_numpy(np.stack(p)).movedim(-1, 1) / 127.5 - 1 for p in pictures)
    assert scores['structure/distance'] == pytest.approx(loss(*images).item(), rel=1e-3)
