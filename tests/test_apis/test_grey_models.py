"""A model of one channel translates pictures, and is exported, as any other."""

import cv2
import numpy as np
import pytest
from PIL import Image

from sesim_mmagic.apis import SeSimInferencer, init_translator
from sesim_mmagic.apis.export.exporter import export_translator
from tests.test_apis import inference

SETTINGS = inference.config({**inference.GENERATOR, 'in_channels': 1, 'out_channels': 1})


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp('grey')
    return inference.save(folder / 'grey.pth', inference.build(SETTINGS), SETTINGS)


def test_pictures_are_translated_and_saved_grey(checkpoint, tmp_path):
    colour = inference.picture()
    grey = np.repeat(cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY)[..., None], 3, axis=2)
    (tmp_path / 'in').mkdir()
    Image.fromarray(grey[..., 0]).save(tmp_path / 'in/a.png')
    model = init_translator(None, checkpoint, 'cpu')
    of_colour, of_grey = inference.translated(model, [colour, grey])
    assert of_grey.shape == grey.shape and of_grey.std() > 1
    assert (of_grey == of_grey[..., :1]).all()
    assert np.abs(of_grey.astype(int) - of_colour).mean() < 2  # luminance, rounded or not
    SeSimInferencer(model=str(checkpoint), device='cpu')(
        str(tmp_path / 'in'), out_dir=str(tmp_path / 'out')
    )
    (file,) = (tmp_path / 'out').rglob('*.png')
    with Image.open(file) as saved:
        assert saved.mode == 'L'
        assert np.array_equal(np.asarray(saved), of_grey[..., 0])


def test_export(checkpoint, tmp_path):
    model = init_translator(None, checkpoint, 'cpu')
    metadata = export_translator(model, tmp_path / 'grey.pt2', 'pt2')
    assert metadata['check']['max_abs_difference'] < 1e-4
