"""MMagic's own CycleGAN config trains, saves and resumes once the host is repaired."""

from pathlib import Path

import pytest
import torch

import sesim_mmagic  # noqa: F401, repairs the host before anything of MMagic's is imported

CONFIG = '.mim/configs/cyclegan/cyclegan_lsgan-resnet-in_1xb1-270kiters_horse2zebra.py'


@pytest.fixture
def shrunken(tmp_path, picture_folders):
    """MMagic's config with small networks and pictures; schedule and structure are its own."""
    import mmagic
    from mmengine.config import Config

    cfg = Config.fromfile(Path(mmagic.__file__).parent / CONFIG)
    cfg.work_dir = str(tmp_path / 'work')
    cfg.model.generator.update(base_channels=4, num_blocks=1)
    cfg.model.discriminator.update(base_channels=4)
    loader = cfg.train_dataloader
    loader.update(batch_size=1, num_workers=0, persistent_workers=False)
    loader.dataset.data_root = str(picture_folders())
    resize, crop = loader.dataset.pipeline[2].transforms
    resize.scale, crop.crop_size = (36, 36), (32, 32)
    cfg.train_cfg.max_iters = 2
    cfg.default_hooks.checkpoint.interval = 1
    # Validation of this config needs Inception weights.
    for part in ('cfg', 'dataloader', 'evaluator'):
        cfg[f'val_{part}'] = cfg[f'test_{part}'] = None
    return cfg


def weights(runner):
    return torch.nn.utils.parameters_to_vector(runner.model.generators.parameters()).detach()


@pytest.mark.quick
def test_cyclegan_of_mmagic_trains_saves_and_resumes(shrunken):
    from mmengine.runner import Runner

    shrunken.experiment_name = 'first'
    first = Runner.from_cfg(shrunken)
    before = weights(first).clone()
    first.train()
    assert first.iter == 2
    assert torch.isfinite(weights(first)).all() and not torch.equal(weights(first), before)

    checkpoint = Path(shrunken.work_dir, 'iter_2.pth')
    content = torch.load(checkpoint, weights_only=True)
    assert content['meta']['iter'] == 2
    log = content['message_hub']['log_scalars']
    assert torch.isfinite(torch.tensor(log['train/loss_gan_d_zebra'].mean()))

    shrunken.update(resume=True, experiment_name='second')
    shrunken.train_cfg.max_iters = 3
    second = Runner.from_cfg(shrunken)
    second.load_or_resume()
    assert second.iter == 2 and torch.equal(weights(second), weights(first))
    second.train()
    assert second.iter == 3 and Path(shrunken.work_dir, 'iter_3.pth').is_file()
