"""Time of a core at which each generator of a training was there; scores of its translations."""

import importlib
import json

import cv2
import numpy as np
import pytest
import torch
import torchvision

from sesim_mmagic.evaluation import scores
from tests.test_converters import published
from tests.test_converters.test_checkpoints import agree, by_hand

# As other code does it: it asks for VGG16's weights, works, and writes a generator now and then.
SCRIPT = """
import shutil, sys, time
from torchvision import models

out, bias, *generators = sys.argv[1:]
assert float(models.vgg16(pretrained=True).features[0].bias[0]) == float(bias)
for number, path in enumerate(generators, 1):
    begin = time.process_time()
    while time.process_time() < begin + 1:
        pass
    shutil.copy(path, f'{out}/{number}0')
    shutil.move(f'{out}/{number}0', f'{out}/iter_{number}0_net_G.pth')
    time.sleep(2)
"""
SCORE = ('score', 'out', '--data-root', '.', '--domains', 'a', 'b', '--judge', __file__)


@pytest.fixture
def judge(tmp_path, monkeypatch):
    """File of VGG16's convolutions, whose first bias is .5; torchvision's function is put back."""
    monkeypatch.setattr(torchvision.models, 'vgg16', torchvision.models.vgg16)
    weights = torchvision.models.vgg16(weights=None).features.state_dict()
    weights['0.bias'][:] = 0.5
    path = tmp_path / 'vgg16.pth'
    torch.save({f'features.{name}': value for name, value in weights.items()}, path)
    return path


def test_a_curve_of_other_code(call, judge, tmp_path, picture_folders, capsys):
    generators = [published.resnet(4, 2), published.resnet(4, 2)]
    for number, network in enumerate(generators):
        torch.save(network.state_dict(), tmp_path / f'{number}.pth')
    script, out = tmp_path / 'their_train.py', tmp_path / 'out'
    script.write_text(SCRIPT)
    paths = [tmp_path / f'{number}.pth' for number in range(2)]
    train = 'time_to_quality', 'train', out, '--vgg16', judge, script, out, 0.5, *paths
    call(*train)
    noted = json.loads((out / 'cpu_seconds.json').read_text())
    assert list(noted) == ['10', '20'] and noted['10'] > 1
    assert 0.5 < noted['20'] - noted['10'] < 10, 'a second of work, and none of waiting'
    with pytest.raises(SystemExit):
        call(*train)
    assert 'holds generators already' in capsys.readouterr().err

    data = picture_folders(('testA', 'testB'), count=6, size=(64, 64))
    place = '--data-root', data, '--domains', 'sketch', 'painting'
    (out / 'iter_30_net_G.pth').write_bytes(b'')
    call('time_to_quality', 'score', out, *place, '--judge', judge)
    assert "iter_30_net_G.pth' is left out" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        call('time_to_quality', 'score', out, *place, '--judge', script)
    assert 'holds scores by another judge' in capsys.readouterr().err
    psnr = []
    for number, network in enumerate(generators, 1):
        pairs = []
        for i in range(6):
            source, truth = (cv2.imread(str(data / f'test{x}' / f'{i}.png')) for x in 'AB')
            translated = cv2.imread(str(out / f'curve/{number}0/{i}.png'))
            assert agree(translated, by_hand(network, source))
            pairs.append((truth, translated))
        psnr.append(np.mean([scores.psnr(*pair) for pair in pairs]))
    read_curves = importlib.import_module('training_curves').read_curves
    curves = read_curves(str(out / 'curve'), ['psnr', 'kid_vgg16_vgg16', 'swd'], minutes=True)
    assert [score for _, score in curves['psnr']] == pytest.approx(psnr)
    assert curves['psnr'][-1][0] == pytest.approx(noted['20'] / 60)
    assert all(len(curve) == 2 for curve in curves.values())

    score = 'time_to_quality', 'score', out, *place, '--judge', judge, '--step-ms', 3000
    with pytest.raises(SystemExit):
        call(*score)
    assert 'holds times already: leave --step-ms out' in capsys.readouterr().err
    (out / 'cpu_seconds.json').unlink()
    (out / 'iter_30_net_G.pth').unlink()
    call(*score)
    curves = read_curves(str(out / 'curve'), ['psnr'], minutes=True)
    assert [minutes for minutes, _ in curves['psnr']] == pytest.approx([0.5, 1.0])

    (out / 'another').mkdir()
    (out / 'another' / 'iter_10_net_G.pth').write_bytes(b'')
    with pytest.raises(SystemExit):
        call(*score)
    assert 'are of one iteration: give the folder of one training' in capsys.readouterr().err


def test_a_second_copy_of_a_generator_ends_no_timing(call, tmp_path):
    script, out = tmp_path / 'their_train.py', tmp_path / 'out'
    script.write_text(
        'import sys, pathlib\n'
        "for name in ('iter_10.pth', 'copy/iter_10.pth', 'iter_20.pth'):\n"
        '    path = pathlib.Path(sys.argv[1], name)\n'
        '    path.parent.mkdir(exist_ok=True)\n'
        '    path.touch()\n'
    )
    call('time_to_quality', 'train', out, script, out)
    assert list(json.loads((out / 'cpu_seconds.json').read_text())) == ['10', '20']


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (('train', 'out', 'no.py'), "script: 'no.py' is not a file"),
        (('train', 'out', '--vgg16', 'no.pth', __file__), "vgg16: 'no.pth' is not a file"),
        (SCORE, "cpu_seconds.json' does not exist: train there first, or give --step-ms"),
        ((*SCORE, '--step-ms', 300), "'out' holds no generators iter_N.pth"),
        ((*SCORE, '--step-ms', 0), '--step-ms must be finite and above 0, got 0'),
    ],
)
def test_mistakes(call, capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as refused:
        call('time_to_quality', *arguments)
    assert message in capsys.readouterr().err and refused.value.code == 2
