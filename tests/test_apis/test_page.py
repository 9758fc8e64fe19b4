"""Pictures, models and maps behind the page to try models."""

import os
import shutil

import cv2
import numpy as np
import pytest
import torch

from sesim_mmagic.apis import SeSimInferencer
from sesim_mmagic.apis import page as page_module
from sesim_mmagic.apis.model_zoo import INDEX_VARIABLE, find_index
from sesim_mmagic.apis.page import Workshop
from sesim_mmagic.registry import MODELS
from sesim_mmagic.translators.styles import draw_styles
from tests.test_tools.web_demo_models import as_png, picture

SETTINGS = dict(pictures=None, feature_net='random', device='cpu', max_side=120)
SETTINGS['max_image_pixels'] = 200 * 200


@pytest.fixture(scope='module', autouse=True)
def folder(demo_models):
    return demo_models


@pytest.fixture(scope='module')
def workshop(folder):
    models = [str(folder / name) for name in ('one/a.pth', 'many/a.pth')]
    return Workshop(models, **{**SETTINGS, 'pictures': folder / 'pictures'})


def test_translations_are_those_of_the_inferencer(workshop, folder):
    source = workshop.read('first.png')
    assert np.array_equal(source, cv2.imread(str(folder / 'pictures/first.png')))
    (wanted,) = SeSimInferencer(folder / 'one/a.pth', device='cpu')(source)['visualization']
    assert np.array_equal(workshop.translate('one/a.pth', source, 'zebra', 1), wanted)
    many = SeSimInferencer(folder / 'many/a.pth', device='cpu')
    reference = picture((40, 50), seed=5)
    for target in ('painting', 'sketch'):
        styles = torch.stack([draw_styles(2, 3, 0)[1], many.encode_style(reference, target)])
        (wanted,) = many(source, target_domain=target, styles=styles)['visualization']
        for style, expected in zip((2, reference), wanted, strict=True):
            found = workshop.translate('many/a.pth', source, target, style)
            assert np.array_equal(found, expected)


def test_pictures_are_limited(workshop):
    assert workshop.read('large.png').shape == (120, 80, 3)
    assert workshop.read('mine.png', as_png(picture((40, 90)))).shape == (40, 90, 3)
    with pytest.raises(ValueError, match='mine.png.*max_image_pixels is 40000'):
        workshop.read('mine.png', as_png(picture((201, 200))))
    with pytest.raises(ValueError, match='notes.txt'):
        workshop.read('notes.txt', b'no picture')


def test_only_regular_files_are_offered(folder, tmp_path):
    """A pipe or a device would keep a visitor for ever; names may be of any bytes."""
    names = ['in/a.jpg', 'in/a.png', os.fsdecode(b'l\xf6we.PNG')]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(as_png(picture((16, 16))))
    os.mkfifo(tmp_path / 'pipe.png')
    (tmp_path / 'zero.png').symlink_to('/dev/zero')
    (tmp_path / '.hidden.png').write_bytes(as_png(picture((16, 16))))
    found = Workshop([str(folder / 'one/a.pth')], **{**SETTINGS, 'pictures': tmp_path})
    assert list(found.pictures) == ['in/a.jpg', 'in/a.png', 'l\\udcf6we.PNG']
    assert found.note == '2 of 5 files left out: device 1, named pipe 1'
    assert found.read('l\\udcf6we.PNG').shape == (16, 16, 3)


def test_models_are_loaded_once_and_few_are_kept(folder, tmp_path):
    paths = [tmp_path / f'{name}.pth' for name in 'abcd']
    for path in paths:
        path.write_bytes((folder / 'one/a.pth').read_bytes())
    workshop = Workshop(list(map(str, paths)), **SETTINGS)
    names = list(workshop.models)
    workshop.model(names[0])
    paths[0].unlink()
    workshop.model(names[0])  # still in memory
    for name in names[1:]:
        workshop.model(name)
    with pytest.raises(FileNotFoundError, match='does not exist'):
        workshop.model(names[0])


def test_maps_are_those_of_fsesim(workshop):
    source, translation, point = picture((48, 64)), picture((48, 64), seed=1), (0.3, 0.8)
    net = dict(type='sesim_mmagic.VGG16Features', pretrained=None, seed=0)
    loss = MODELS.build(dict(type='sesim_mmagic.FSeSimLoss', feature_net=net))
    maps = [
        loss.similarity_maps(torch.from_numpy(p.transpose(2, 0, 1)[None]) / 127.5 - 1, [point])
        for p in (source, translation)
    ]
    found = workshop.similarity_maps(source, translation, point)
    assert list(maps[0]) == ['relu3_1', 'relu4_1', 'relu4_3']
    groups = [(layer, ['source', 'translation']) for layer in maps[0]]
    cells = [page_module.Cell(m[layer][0, 0].numpy(), point) for layer in maps[0] for m in maps]
    wanted = page_module.draw_maps(groups, [('', cells)])
    # Maps of two runs may differ in the last digit, and a colour by one step.
    assert np.abs(found.astype(int) - wanted).max() <= 2
    with pytest.raises(ValueError, match='both sides at least'):
        workshop.similarity_maps(picture((4, 400)), picture((4, 400)), point)


def test_models_are_told_apart_and_settings_checked(folder, tmp_path):
    one, alike = str(folder / 'one/a.pth'), tmp_path / 'one/a.pth'
    alike.parent.mkdir()
    alike.touch()
    assert list(Workshop([one], **SETTINGS).models) == ['one/a.pth']
    assert list(Workshop([one, str(alike)], **SETTINGS).models) == [one, str(alike)]
    for models, settings, message in (
        ([one, one], {}, 'named once'),
        (['gone.pth'], {}, "Checkpoint 'gone.pth' does not exist"),
        (['no_such_model'], {}, "no released model 'no_such_model'"),
        ([one], dict(pictures='gone'), "'gone' is no"),
        ([one], dict(pictures=tmp_path), 'holds no picture'),
        ([one], dict(feature_net='/no/vgg16.pth'), "--feature-net: '/no/vgg16.pth' does not exist"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            Workshop(models, **{**SETTINGS, **settings})


def test_a_released_model_that_is_not_here_is_told_before_the_page(tmp_path, monkeypatch):
    shutil.copytree(find_index().parent / 'configs', tmp_path / 'configs')
    shutil.copy(find_index(), tmp_path)
    monkeypatch.setenv(INDEX_VARIABLE, str(tmp_path / 'model-index.yml'))
    with pytest.raises(FileNotFoundError, match='has no address.*models/fsesim_kaokore.*Install'):
        Workshop(['fsesim_kaokore'], **SETTINGS)
