"""The Python interface for translating pictures."""

import os
import zipfile

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate

from sesim_mmagic.apis import init_translator
from sesim_mmagic.engine.pictures import to_picture
from tests.test_apis.inference import translated
from tests.test_engine import tiny


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp('translate')
    config = tiny.write_config(folder / 'config.py', tiny.write_pictures(folder / 'data'))
    tiny.train(config, folder / 'work', train_cfg__max_iters=2)
    return config, folder / 'work' / 'iter_2.pth'


@pytest.fixture(scope='module')
def model(trained):
    return init_translator(*trained, device='cpu')


def picture(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_model_is_ready_for_inference_without_feature_weights(trained):
    config = Config.fromfile(trained[0])
    config.model.structure_loss.feature_net.pretrained = '/nowhere/vgg16.pth'
    config.model.structure_identity_weight = 1.0
    model = init_translator(config, trained[1], device='cpu')
    assert not model.training
    assert model.structure_loss is None and model.discriminators is None
    saved = tiny.load(trained[1])['state_dict']
    for key, value in model.state_dict().items():
        if key.startswith('generator'):
            assert torch.equal(value, saved[key]), key


def test_translations_are_those_of_the_test_step(model):
    from sesim_mmagic.registry import TRANSFORMS

    source = picture(19, 33)
    pack = TRANSFORMS.build(dict(type='sesim_mmagic.PackDomains', A='a', B='b'))
    packed = pack(dict(img_A=source))
    expected = to_picture(model.test_step(pseudo_collate([packed]))[0].fake_b)
    (translation,) = translated(model, source)
    assert translation.shape == (19, 33, 3) and translation.dtype == np.uint8
    assert np.array_equal(translation, expected)


def test_moving_average_translates(trained):
    config, checkpoint = trained
    content = tiny.load(checkpoint)
    model = init_translator(config, checkpoint, device='cpu')
    (before,) = translated(model, picture(16, 16))
    for name, value in model.generators.state_dict().items():
        value.zero_()
        assert f'generators.{name}' in content['state_dict']
    (after,) = translated(model, picture(16, 16))
    assert np.array_equal(before, after)


def test_two_sided_model_translates_both_ways(tmp_path):
    network = dict(type='sesim_mmagic.ResNetBlurGenerator', base_channels=4, num_blocks=1)
    config = Config(
        dict(
            default_scope='mmagic',
            model=dict(
                type='sesim_mmagic.SeSimCycleGAN',
                generator=network,
                discriminator=dict(type='sesim_mmagic.BlurPatchGAN', base_channels=4, num_layers=2),
                default_domain='b',
                reachable_domains=['a', 'b'],
                related_domains=['a', 'b'],
                data_preprocessor=dict(type='DataPreprocessor'),
            ),
        )
    )
    from sesim_mmagic.registry import MODELS

    built = MODELS.build(config.model)
    torch.save(dict(state_dict=built.state_dict()), tmp_path / 'cycle.pth')
    model = init_translator(config, tmp_path / 'cycle.pth', device='cpu')
    source = picture(16, 16)
    ways = {domain: translated(model, source, domain)[0] for domain in ('a', 'b')}
    assert not np.array_equal(ways['a'], ways['b'])
    assert np.array_equal(ways['b'], translated(model, source)[0])
    images = torch.from_numpy(source.copy()).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.no_grad():
        expected = built.generators['a'](images)[0] * 127.5 + 127.5
    assert np.abs(ways['a'].astype(int) - to_picture(expected)).max() <= 1


def test_checkpoint_of_another_model_is_refused(trained):
    config = Config.fromfile(trained[0])
    config.model.generator.num_blocks = 3
    with pytest.raises(ValueError, match='is not one of this OneSidedTranslator.*is missing'):
        init_translator(config, trained[1])


class Exploit:
    def __reduce__(self):
        return os.system, ('echo exploited',)


def test_objects_of_strangers_are_not_unpickled(trained, tmp_path, capfd):
    path = tmp_path / 'stranger.pth'
    torch.save(dict(state_dict=Exploit()), path)
    with pytest.raises(ValueError, match='objects that could run code'):
        init_translator(trained[0], path)
    assert 'exploited' not in capfd.readouterr().out


def test_damage_inside_a_file_is_reported(trained, tmp_path):
    path = tmp_path / 'damaged.pth'
    with zipfile.ZipFile(trained[1]) as source, zipfile.ZipFile(path, 'w') as target:
        for name in source.namelist():
            if not name.endswith('data/0'):
                target.writestr(name, source.read(name))
    with pytest.raises(ValueError, match="damaged.pth' cannot be read: it is damaged"):
        init_translator(trained[0], path)


def test_config_without_model_is_refused(trained):
    with pytest.raises(ValueError, match="no 'model'"):
        init_translator(Config(dict(x=1)), trained[1])
