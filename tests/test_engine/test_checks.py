"""What a validation or a test would stumble over is said before the work, all of it at once."""

import copy
import json

import pytest
from mmengine.evaluator import BaseMetric
from mmengine.runner import Runner

from sesim_mmagic.apis import launch
from sesim_mmagic.apis.command_line import CommandError
from sesim_mmagic.engine.checks import prepare_test
from sesim_mmagic.registry import METRICS
from tests.test_engine import tiny
from tests.tiny import TINY_PROJECTED


def with_metric(config, work_dir, metric):
    cfg = tiny.load_config(config, work_dir)
    return dict(
        val_dataloader=cfg.test_dataloader,
        val_cfg=dict(type='ValLoop'),
        val_evaluator=[dict(metric, target_domain='b', source_domain='a')],
        train_cfg__val_interval=2,
    )


@pytest.mark.parametrize(
    'metric',
    [
        dict(
            type='sesim_mmagic.DistributionScores',
            feature_net=dict(type='sesim_mmagic.InceptionFeatures', pretrained='no.pth'),
        ),
        dict(type='sesim_mmagic.PairedScores', lpips=dict(pretrained='no.pth')),
        dict(type='sesim_mmagic.LPIPSDiversity', lpips=dict(pretrained='no.pth')),
        dict(
            type='sesim_mmagic.StructureDistance',
            loss=dict(
                type='sesim_mmagic.FSeSimLoss',
                num_patches=-1,
                feature_net=dict(type='sesim_mmagic.VGG16Features', pretrained='no.pth'),
            ),
        ),
        dict(
            type='sesim_mmagic.SegmentationScores',
            label_folder='labels',
            num_classes=2,
            segmentor=dict(
                type='sesim_mmagic.NetworkSegmentor',
                network=dict(type='sesim_mmagic.DRN22'),
                pretrained='no.pth',
            ),
        ),
    ],
    ids=lambda metric: metric['type'].split('.')[1],
)
def test_weights_are_missed_before_the_first_iteration(metric, tmp_path):
    config = tiny.write_config(tmp_path / 'config.py', tiny.write_pictures(tmp_path / 'data'))
    settings = with_metric(config, tmp_path / 'work', metric)
    with pytest.raises((FileNotFoundError, ValueError), match="'no.pth' do"):
        tiny.train(config, tmp_path / 'work', **settings)
    assert not list((tmp_path / 'work').glob('*.pth'))


def test_domains_are_those_of_the_model(tmp_path):
    config = tiny.write_config(tmp_path / 'config.py', tiny.write_pictures(tmp_path / 'data'))
    settings = with_metric(config, tmp_path / 'work', dict(type='sesim_mmagic.PairedScores'))
    settings['val_evaluator'][0]['target_domain'] = 'zebra'
    with pytest.raises(ValueError, match=r"PairedScores measures .*'zebra', .* into \['b'\]"):
        tiny.train(config, tmp_path / 'work', **settings)
    assert not list((tmp_path / 'work').glob('*.pth'))


POOLED = dict(
    type='sesim_mmagic.PooledFeatures',
    network=dict(
        type='sesim_mmagic.VGG16Features', layers=('relu1_1',), pretrained=None, seed=0, width=0.125
    ),
)
DISTRIBUTION = dict(
    type='sesim_mmagic.DistributionScores', target_domain='b', source_domain='a', feature_net=POOLED
)


def test_everything_that_is_missing_is_in_one_message(tmp_path):
    config = tiny.write_config(tmp_path / 'config.py', tiny.write_pictures(tmp_path / 'data'))
    settings = with_metric(config, tmp_path / 'work', dict(DISTRIBUTION, scores=['kid', 'density']))
    settings['val_evaluator'].append(
        dict(type='sesim_mmagic.PairedScores', target_domain='zebra', prefix='other')
    )
    settings['test_evaluator'] = dict(
        type='mmengine.Evaluator',
        metrics=[
            dict(
                type='sesim_mmagic.PairedScores',
                target_domain='b',
                lpips=dict(pretrained='alex.pth'),
            )
        ],
    )
    settings['model__structure_loss__feature_net'] = dict(
        _delete_=True, type='sesim_mmagic.VGG16Features', pretrained='vgg.pth'
    )
    beside = copy.deepcopy(TINY_PROJECTED)
    beside['network']['feature_net'].update(pretrained='judge.pth', seed=None, width=1.0)
    settings['model__more_discriminators'] = dict(projected=beside)
    with pytest.raises(ValueError) as info:
        tiny.train(config, tmp_path / 'work', **settings)
    message = str(info.value)
    for part in (
        '5 things keep the training from starting',
        "model.structure_loss: VGG16 weights 'vgg.pth' do not exist",
        "model.more_discriminators.projected: VGG16 weights 'judge.pth' do not exist",
        'val_evaluator.0 (DistributionScores): DistributionScores: density needs at least 7 real',
        "val_evaluator.1 (PairedScores): PairedScores measures translations into 'zebra'",
        "test_evaluator.0 (PairedScores): LPIPS backbone weights 'alex.pth' do not exist",
    ):
        assert part in message
    assert '\n' not in message
    assert not list((tmp_path / 'work').glob('*.pth'))


def test_a_training_that_lacks_nothing_starts(tmp_path):
    config = tiny.write_config(tmp_path / 'config.py', tiny.write_pictures(tmp_path / 'data'))
    settings = with_metric(config, tmp_path / 'work', dict(DISTRIBUTION, scores=['kid']))
    runner = tiny.train(config, tmp_path / 'work', train_cfg__max_iters=2, **settings)
    assert runner.iter == 2


@METRICS.register_module()
class Foreign(BaseMetric):
    """A metric of somebody's own that wants a translation in every sample."""

    default_prefix = 'foreign'

    def process(self, data_batch, data_samples):
        self.results.extend(sample['fake_b'] for sample in data_samples)

    def compute_metrics(self, results):
        return dict(count=len(results))


def test_scores_that_cannot_be_computed_cost_nothing_else(tmp_path):
    """The pictures, their page and the other scores are written; the failing ones are named."""
    data = tiny.write_pictures(tmp_path / 'data')
    (data / 'testA/2.png').unlink()  # 2 sources, 3 targets
    config = tiny.write_config(tmp_path / 'config.py', data)
    cfg = tiny.load_config(config, tmp_path / 'work')
    inception = dict(type='sesim_mmagic.InceptionFeatures', pretrained='no.pth')
    cfg.test_evaluator.metrics = [
        dict(type='sesim_mmagic.PairedScores', target_domain='b'),
        dict(DISTRIBUTION, prefix='few'),
        dict(DISTRIBUTION, prefix='unread', feature_net=inception),
        dict(
            type='sesim_mmagic.LPIPSDiversity',
            target_domain='b',
            lpips=dict(pretrained=None, seed=0),
        ),
        dict(type='sesim_mmagic.Foreign'),
    ]
    with pytest.raises(CommandError) as info:
        launch.test(cfg, out=tmp_path / 'scores.json')
    assert info.value.code == 1
    message = str(info.value)
    for part in ('density needs at least 7', "'no.pth' do not exist", 'diversity needs 2 or more'):
        assert part in message
    scores = json.loads((tmp_path / 'scores.json').read_text())
    assert set(scores) == {'paired/psnr', 'paired/ssim', 'paired/boundary_f1', 'foreign/count'}
    assert scores['foreign/count'] == 3  # it counts samples, and finds a translation in each
    assert len(list((tmp_path / 'work/test/translations/b').glob('*.png'))) == 2
    assert 'paired/psnr' in (tmp_path / 'work/test/index.html').read_text()


def test_copies_are_translated_for_metrics_of_others_alone(tmp_path):
    data = tiny.write_pictures(tmp_path / 'data')
    (data / 'testA/2.png').unlink()
    cfg = tiny.load_config(tiny.write_config(tmp_path / 'config.py', data), tmp_path / 'work')
    cfg.test_evaluator.metrics = [dict(type='sesim_mmagic.PairedScores', target_domain='b')]
    runner = Runner.from_cfg(cfg)
    loop = runner.test_loop
    prepare_test(runner)
    assert loop.dataloader.dataset[2]['data_samples'].img_a_repeated
    loop.evaluator.metrics.append(Foreign())
    prepare_test(runner)
    assert 'img_a_repeated' not in loop.dataloader.dataset[2]['data_samples']
