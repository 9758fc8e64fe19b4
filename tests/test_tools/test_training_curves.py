"""Curves of several trainings: the points they show, and what they refuse."""

import importlib
import json

import cv2
import pytest


@pytest.fixture
def runs(tmp_path):
    """Work directories of two trainings; a step of the second takes three times as long."""
    for name, seconds in dict(first=0.6, second=1.8).items():
        (tmp_path / name).mkdir()
        history = [
            dict(iteration=i, metrics={'paired/ssim': i / 100, 'colouring/even': None})
            for i in (10, 20)
        ]
        results = dict(
            training=dict(seconds_per_iteration=seconds), validation=dict(history=history)
        )
        (tmp_path / name / 'results.json').write_text(json.dumps(results))
    return tmp_path


def test_points(call, runs):
    out = runs / 'curves.png'
    named = ['--run', 'a', runs / 'first', '--run', 'b', runs / 'second']
    call('training_curves', *named, '--scores', 'ssim', '--out', out)
    assert cv2.imread(str(out)).shape[0] > 100
    read_curves = importlib.import_module('training_curves').read_curves
    curves = read_curves(str(runs / 'second'), ['ssim', 'paired/ssim', 'even'], minutes=False)
    points = [(10, 0.1), (20, 0.2)]
    assert curves == {'ssim': points, 'paired/ssim': points, 'even': []}
    minutes = read_curves(str(runs / 'second'), ['ssim'], minutes=True)['ssim']
    assert [point[0] for point in minutes] == pytest.approx([0.3, 0.6])


@pytest.mark.parametrize(
    ('folder', 'score', 'message'),
    [
        ('nowhere', 'ssim', "nowhere/results.json' does not exist: give the work directory of"),
        ('empty', 'ssim', 'has no validation: train with val_evaluator'),
        ('first', 'kid', "has no score 'kid'; it has colouring/even, paired/ssim"),
        ('first', 'even', "'even' is no finite number in any validation of 'a'"),
    ],
)
def test_mistakes(call, runs, capsys, folder, score, message):
    (runs / 'empty').mkdir()
    results = dict(training=dict(seconds_per_iteration=1), validation=None)
    (runs / 'empty/results.json').write_text(json.dumps(results))
    with pytest.raises(SystemExit):
        call(
            *('training_curves', '--run', 'a', runs / folder),
            *('--scores', score, '--out', runs / 'curves.png'),
        )
    assert message in capsys.readouterr().err
    assert not (runs / 'curves.png').exists()
