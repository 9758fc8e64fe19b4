"""The models that travel with the package translate as they did when they were published."""

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from sesim_mmagic.apis.inference.loading import init_translator
from sesim_mmagic.apis.launch import prepare_test
from sesim_mmagic.apis.model_zoo import SHIPPED, find_index, list_models, resolve_model
from sesim_mmagic.apis.release.fresh_process import translations

ROOT = find_index().parent
MODELS = {model['Name']: model for model in list_models()}


@pytest.fixture(params=MODELS)
def model(request):
    return MODELS[request.param]


def test_they_are_small():
    files = list((ROOT / SHIPPED).glob('*.pth'))
    assert {path.name for path in files} == {
        model['Weights'].rpartition('/')[2] for model in MODELS.values()
    }
    assert sum(path.stat().st_size for path in files) < 25e6


def test_their_entries_are_whole(model):
    assert (ROOT / model['Config']).is_file()
    assert model['Results'] and model['Metadata']['Training Resources']


def test_its_card_says_what_its_entry_says(model):
    path = ROOT / SHIPPED / model['Weights'].rpartition('/')[2]
    card = path.with_suffix('.md').read_text()
    metadata = model['Metadata']
    licence = 'CC BY 2.0' if 'single' in model['Name'] else 'CC BY-SA 4.0'
    for text in (
        f"SeSimInferencer('{model['Name']}')",
        metadata['SHA256'],
        f'licence: {licence}, as',
    ):
        assert text in card
    for key in ('Training Data', 'Iterations', 'Training Resources'):
        assert f': {metadata[key]}\n' in card, key
    (results,) = model['Results']
    for key, value in results['Metrics'].items():
        assert f'| {key} | {value:.4g} |' in card


def test_a_test_takes_its_name(model, tmp_path):
    cfg = Config(dict(work_dir=str(tmp_path)))
    prepare_test(cfg, model['Name'], out=None, overwrite=False)
    assert cfg.load_from == resolve_model(model['Name'])


def test_it_translates_as_it_did(model):
    path = ROOT / SHIPPED / model['Weights'].rpartition('/')[2]
    assert resolve_model(model['Name']) == str(path)
    translator = init_translator(None, path, 'cpu')
    assert {weight.dtype for weight in translator.generators.state_dict().values()} == {
        torch.float32
    }
    samples = path.with_name(f'{path.stem}_samples')
    translated = translations(translator, [samples / '0_source.png'])
    shown = sorted(set(samples.glob('0_*.png')) - {samples / '0_source.png'})
    assert shown
    for picture in shown:
        # Another processor or PyTorch rounds otherwise.
        error = np.abs(translated[picture.stem].astype(int) - cv2.imread(str(picture)))
        assert error.max() <= 4 and error.mean() < 0.2
