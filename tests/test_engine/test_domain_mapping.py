"""A training that starts from a model whose domains have other names."""

import pytest
import torch

from sesim_mmagic.apis import launch
from sesim_mmagic.engine.domain_mapping import domains_of, rename_domains
from tests.test_engine import tiny

STILL = dict(optimizer=dict(type='Adam', lr=0.0))


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A config and a checkpoint of a model that translates a into b."""
    folder = tmp_path_factory.mktemp('mapping')
    config = tiny.write_config(folder / 'config.py', tiny.write_pictures(folder / 'data'))
    tiny.train(config, folder / 'work', train_cfg__max_iters=2)
    return config, folder / 'work/iter_2.pth'


def start(trained, folder, mapping, names=('cloudy', 'sunny'), **options):
    """One iteration at rate 0 from that checkpoint in a model of other domains."""
    config, checkpoint = trained
    cfg = tiny.load_config(config, folder, load_from=str(checkpoint), **options)
    source, target = names
    cfg.model.update(source_domain=source, target_domain=target)
    for part in ('train', 'test'):
        pipeline = cfg[f'{part}_dataloader'].dataset.pipeline
        pipeline[-1].update(A=source, B=target)
    cfg.train_cfg.max_iters = 1
    cfg.default_hooks.checkpoint.interval = 1
    for key in ('generators', 'discriminators', 'structure_loss'):
        cfg.optim_wrapper[key] = STILL
    if mapping is not None:
        cfg.domain_mapping = mapping
    launch.prepare_start(cfg)
    launch.train(cfg)
    return tiny.load(folder / 'iter_1.pth')['state_dict'], tiny.load(checkpoint)['state_dict']


def test_every_network_is_found_under_its_new_name(trained, tmp_path):
    found, given = start(trained, tmp_path, dict(a='cloudy', b='sunny'))
    renamed = rename_domains(given, dict(b='sunny'))
    assert domains_of(found) == ['sunny']
    networks = [k for k in renamed if k.startswith(('generators.', 'discriminators.'))]
    assert len(networks) > 10
    assert all(torch.equal(found[key], renamed[key]) for key in networks)


def test_domains_that_are_not_there_are_named(trained, tmp_path):
    with pytest.raises(ValueError, match=r"\['zebra'\] of the checkpoint, .* into \['b'\]"):
        start(trained, tmp_path, dict(zebra='sunny'))
    with pytest.raises(ValueError, match=r"model's \['sunny', 'cloudy'\], got"):
        start(trained, tmp_path, dict(b='rainy'))


def test_the_error_of_other_domains_names_the_option(trained, tmp_path):
    with pytest.raises(ValueError, match=r'into the domain b, .* --domain-mapping b=sunny$'):
        start(trained, tmp_path, None)


def test_a_mapping_needs_a_checkpoint(trained, tmp_path):
    cfg = tiny.load_config(trained[0], tmp_path)
    cfg.domain_mapping = dict(b='sunny')
    with pytest.raises(ValueError, match='domain_mapping renames the domains of load_from'):
        launch.prepare_start(cfg)
    cfg.resume, cfg.work_dir = True, str(trained[1].parent)  # there it was renamed already
    launch.prepare_start(cfg)
    assert cfg.load_from == str(trained[1])


def test_both_directions_and_wrappers():
    names = ['generators.a.x', 'module.generators.module.b.x', 'generator_ema.module.a.x',
             'generator_ema.steps', 'discriminators.b.0.w', 'structure_loss.heads.a.w']  # fmt: skip
    assert list(rename_domains(dict.fromkeys(names), dict(a='b', b='a'))) == [
        'generators.b.x', 'module.generators.module.a.x', 'generator_ema.module.b.x',
        'generator_ema.steps', 'discriminators.a.0.w', 'structure_loss.heads.a.w',
    ]  # fmt: skip
