"""Pictures, models and maps behind the page to try models."""

import threading
import time

import numpy as np
import pytest

from sesim_mmagic.apis.page.models import PointMaps, Translators
from sesim_mmagic.apis.page.pictures import Pictures, fit_into
from tests.test_tools.web_demo_models import as_png, picture


@pytest.fixture(scope='module', autouse=True)
def folder(demo_models):
    return demo_models


def test_old_uploads_are_forgotten():
    pictures = Pictures(max_uploads=2)
    keys = [pictures.upload('x', as_png(picture((16, 16), seed))) for seed in range(3)]
    assert [len(pictures.read(key)) for key in keys[1:]] == [2, 2]
    with pytest.raises(ValueError, match='upload the picture again'):
        pictures.read(keys[0])
    assert pictures.names() == []


def test_maps_of_large_pictures_are_looked_at_smaller():
    maps = PointMaps('random', 'cpu')
    large = picture((64, 520))
    figures = [maps.draw(p, p, (0.2, 0.4)) for p in (large, fit_into(large, 256))]
    for layer in figures[0]:
        assert np.array_equal(*(found[layer] for found in figures))
    with pytest.raises(ValueError, match='both sides at least'):
        maps.draw(picture((4, 400)), picture((4, 400)), (0.5, 0.5))


def test_models_are_loaded_once_and_few_are_kept(folder, tmp_path):
    paths = [tmp_path / f'{name}.pth' for name in 'ab']
    for path in paths:
        path.write_bytes((folder / 'one/a.pth').read_bytes())
    translators = Translators(list(map(str, paths)), 'cpu', max_loaded=1)
    first, second = translators.names()
    translators.describe(first)
    paths[0].unlink()
    translators.describe(first)  # still in memory
    translators.describe(second)
    with pytest.raises(FileNotFoundError, match='does not exist'):
        translators.describe(first)


def test_models_are_told_apart(folder):
    one, many = str(folder / 'one/a.pth'), str(folder / 'many/a.pth')
    assert Translators([one, 'cut_horse2zebra']).names() == ['one/a.pth', 'cut_horse2zebra']
    alike = ['x/one/a.pth', 'y/one/a.pth']
    assert Translators(alike).names() == alike
    with pytest.raises(ValueError, match='named once'):
        Translators([one, many, one])


def test_one_call_at_a_time_uses_a_model(folder):
    translators = Translators([str(folder / 'one/a.pth')], 'cpu')
    translators.describe('one/a.pth')
    (generator,) = translators._loaded['one/a.pth'].generators.values()
    inside, most = [], []

    def enter(*_):
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.05)

    generator.register_forward_pre_hook(enter)

    def leave(*_):
        inside.pop()

    generator.register_forward_hook(leave)
    threads = [
        threading.Thread(target=translators.translate, args=('one/a.pth', picture((32, 32), seed)))
        for seed in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1]
