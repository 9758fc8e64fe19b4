import pytest
import torch
from mmengine.runner import Runner

from sesim_mmagic.utils.weights import adapt_names
from tests.test_engine import tiny


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A config and a work directory with a checkpoint."""
    folder = tmp_path_factory.mktemp('match')
    config = tiny.write_config(folder / 'config.py', tiny.write_pictures(folder / 'data'))
    tiny.train(config, folder / 'work', train_cfg__max_iters=2)
    return config, folder / 'work' / 'iter_2.pth'


def test_same_model_passes(trained, tmp_path):
    config, checkpoint = trained
    Runner.from_cfg(tiny.load_config(config, tmp_path, load_from=str(checkpoint))).test()


@pytest.mark.parametrize(
    ('options', 'difference'),
    [
        (dict(model__generator__num_blocks=2), 'is missing'),
        (dict(model__ema=None), 'is unknown to the model'),
        (
            dict(model__generator__base_channels=6),
            r'has shape \(4, 3, 7, 7\), the model needs \(6,',
        ),
        (
            dict(
                model__target_domain='c',
                train_dataloader=None,
                train_cfg=None,
                optim_wrapper=None,
                param_scheduler=None,
            ),
            "'generators.c.model.1.weight' is missing",
        ),
    ],
)
def test_generator_of_another_model_is_refused(trained, tmp_path, options, difference):
    config, checkpoint = trained
    runner = Runner.from_cfg(
        tiny.load_config(config, tmp_path, load_from=str(checkpoint), **options)
    )
    with pytest.raises(ValueError, match=difference) as error:
        runner.test()
    assert 'is not one of this OneSidedTranslator' in str(error.value)


def test_resume_needs_the_discriminator_too(trained, tmp_path):
    config, checkpoint = trained
    other = dict(load_from=str(checkpoint), model__discriminator__base_channels=6)
    with pytest.raises(ValueError, match='discriminators.b.*has shape'):
        tiny.train(config, tmp_path / 'resumed', resume=True, **other)
    tiny.train(config, tmp_path / 'started', train_cfg__max_iters=1, **other)


def test_resume_names_the_checkpoint_that_it_found(trained, tmp_path):
    config, checkpoint = trained
    (tmp_path / 'last_checkpoint').write_text(str(checkpoint))
    with pytest.raises(ValueError, match=str(checkpoint)):
        tiny.train(config, tmp_path, resume=True, model__generator__num_blocks=2)


def test_checkpoint_of_several_ranks_of_mmagic_loads(trained, tmp_path):
    """MMagic saves ``generators.module.*`` there."""
    config, path = trained
    checkpoint = tiny.load(path)
    weights = {
        key.replace('generators.', 'generators.module.'): value
        for key, value in checkpoint['state_dict'].items()
    }
    torch.save({**checkpoint, 'state_dict': weights}, tmp_path / 'ranks.pth')
    runner = Runner.from_cfg(
        tiny.load_config(config, tmp_path, load_from=str(tmp_path / 'ranks.pth'))
    )
    runner.test()
    for key, value in runner.model.generators.state_dict().items():
        assert torch.equal(value, checkpoint['state_dict'][f'generators.{key}'])


def test_names_are_adapted_only_to_known_ones():
    expected = {'generators.b.x', 'generators.module.x'}
    found = {'module.generators.b.x': 1, 'generators.module.x': 2, 'other.module.x': 3}
    assert adapt_names(expected, found) == {
        'generators.b.x': 1,
        'generators.module.x': 2,
        'other.module.x': 3,
    }


def released(trained, tmp_path):
    """What a release keeps: the moving average as the generators, nothing else."""
    content = tiny.load(trained[1])
    average = {
        key.replace('generator_ema.module.', 'generators.'): value
        for key, value in content['state_dict'].items()
        if key.startswith('generator_ema.module.')
    }
    torch.save(dict(meta={}, state_dict=average), tmp_path / 'released.pth')
    return tmp_path / 'released.pth', average


def test_a_released_checkpoint_is_the_average_too(trained, tmp_path):
    path, average = released(trained, tmp_path)
    runner = Runner.from_cfg(tiny.load_config(trained[0], tmp_path / 'w', load_from=str(path)))
    runner.test()
    found = runner.model.state_dict()
    for name, value in average.items():
        assert torch.equal(found[name], value)
        assert torch.equal(found[name.replace('generators.', 'generator_ema.module.')], value)


def test_a_training_goes_on_from_a_released_checkpoint_and_is_not_resumed(trained, tmp_path):
    path, _ = released(trained, tmp_path)
    options = dict(load_from=str(path), train_cfg__max_iters=1)
    tiny.train(trained[0], tmp_path / 'started', **options)
    with pytest.raises(ValueError, match='released.pth.* lacks: optimizer, .*load_from'):
        tiny.train(trained[0], tmp_path / 'resumed', resume=True, **options)
