"""What a file holds, compared with what is read from it."""

import pytest

from sesim_mmagic.utils.shapes import NUMBER, misfit

SHAPE = {'name': str, 'best?': [{'value': (*NUMBER, type(None))}], 'scores?': {str: NUMBER}}


@pytest.mark.parametrize(
    ('value', 'found'),
    [
        (dict(name='a'), None),
        (
            dict(name='a', best=[dict(value=None), dict(value=1.5)], scores=dict(x=1), other=[]),
            None,
        ),
        ([1], 'it should be a mapping, but is [1]'),
        (dict(best=[]), 'it lacks name'),
        (dict(name=3), 'name should be text, but is 3'),
        (dict(name='a', best={}), 'best should be a list, but is {}'),
        (dict(name='a', best=[3]), 'best[0] should be a mapping, but is 3'),
        (dict(name='a', best=[{}]), 'best[0] lacks value'),
        (
            dict(name='a', best=[dict(value=1), dict(value='x')]),
            "best[1].value should be a number or nothing, but is 'x'",
        ),
        (dict(name='a', scores=dict(x=True)), 'scores.x should be a number, but is True'),
    ],
)
def test_the_first_misfit_is_named(value, found):
    assert misfit(value, SHAPE) == found


def test_long_values_are_cut():
    assert len(misfit('x' * 1000, dict)) < 120
