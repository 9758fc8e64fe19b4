"""The benchmark of growth: exponents, what it measures, what it refuses."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def growth(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'tools/benchmark'))
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    import growth

    return growth


def test_exponents_are_those_between_neighbours(growth):
    series = {10: {'s': 1.0}, 20: {'s': 2.0}, 40: {'s': 8.0}}
    assert growth.slopes(series, 's') == [None, pytest.approx(1), pytest.approx(2)]
    first, *_, last = growth.rows_of('folders', {'new': series})
    assert first == {'': 'new', 'folders': 10, 's': 1.0, 'exponent of s': None}
    assert last == {'': 'new', 'folders': 40, 's': 8.0, 'exponent of s': pytest.approx(2)}


def test_parts_are_measured_and_drawn(growth, tmp_path, monkeypatch, capsys):
    import losses

    small = {'queries': (8, 64), 'folders': (2, 40)}
    monkeypatch.setattr(losses, 'SHAPES', ((1, 8, 16, 16),))
    for part, amounts in small.items():
        monkeypatch.setitem(growth.AMOUNTS, part, (amounts, part))
    out = tmp_path / 'growth.png'
    growth.main(['--parts', *small, '--repeats', '1', '--out', str(out)])
    assert out.read_bytes().startswith(b'\x89PNG')
    results = json.loads(out.with_suffix('.json').read_text())
    assert list(results) == list(small)
    queries, folders = (next(iter(series.values())) for series in results.values())
    assert queries['64']['s'] > 0 and queries['64']['floor'] > 0
    assert set(results['folders']) == {'new training', 'training that goes on'}
    assert folders['40']['s'] > 0
    assert '| FSeSim, patch 64 | 64 | ' in capsys.readouterr().out


def test_one_amount_shows_no_growth(growth, capsys):
    with pytest.raises(SystemExit):
        growth.main(['--parts', 'folders', '--most', '999'])
    assert '--most: growth needs two amounts of each part' in capsys.readouterr().err
