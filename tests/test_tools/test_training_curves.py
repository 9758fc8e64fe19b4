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
        training = dict.fromkeys(('iterations', 'max_iterations'), 20)
        training |= dict(ranks=1, seconds=60, seconds_per_iteration=seconds)
        results = dict(
            training=training | dict(peak_memory_mb=1, memory_of='process'),
            validation=dict(split='val', pictures=4, history=history),
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


VALIDATION = (
    '{"validation": {"split": "val", "pictures": 4, "history": '
    '[{"iteration": 10, "metrics": {"one/a": 0.1, "two/b": 0.2, "even": null}}]}}'
)


@pytest.mark.parametrize(
    ('content', 'arguments', 'message'),
    [
        ('{}', ('--scores', 'a'), 'has no validation: train with val_evaluator'),
        ('{"validation": {', ('--scores', 'a'), "first/results.json' does not hold the results of"),
        ('{"validation": {}}', ('--scores', 'a'), 'validation lacks split'),
        (VALIDATION, ('--scores', 'kid'), "has no score 'kid'; it has even, one/a, two/b"),
        (
            VALIDATION.replace('o/b', 'o/a'),
            ('--scores', 'a'),
            "has several scores 'a'; it has one/a, two/a",
        ),
        (VALIDATION, ('--scores', 'even'), "'even' is no finite number in any validation of 'a'"),
        (VALIDATION, ('--scores', 'a', '--minutes'), 'how long a step takes: leave out --minutes'),
        (VALIDATION, ('--scores', 'a', '--run', 'b', 'nowhere'), "nowhere/results.json' does not"),
        (VALIDATION, ('--scores', 'a', '--run', 'a', 'nowhere'), 'needs a name of its own'),
    ],
)
def test_mistakes(call, runs, capsys, content, arguments, message):
    (runs / 'first/results.json').write_text(content)
    out = runs / 'curves.png'
    with pytest.raises(SystemExit) as refused:
        call('training_curves', '--run', 'a', runs / 'first', '--out', out, *arguments)
    error = capsys.readouterr().err
    assert message in error and refused.value.code == 2 and not out.exists()
