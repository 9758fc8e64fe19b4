"""What a validation would stumble over stops a training before its first iteration."""

import pytest

from sesim_mmagic.engine import MetricCheckHook
from tests.test_engine import tiny


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
            feature_net=dict(type='sesim_mmagic.InceptionFeatures', weights='no.pth'),
        ),
        dict(type='sesim_mmagic.PairedScores', lpips=dict(backbone='no.pth')),
        dict(type='sesim_mmagic.LPIPSDiversity', lpips=dict(backbone='no.pth')),
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
            segmentor=dict(type='sesim_mmagic.TorchScriptSegmentor', path='no.pth'),
        ),
    ],
    ids=lambda metric: metric['type'].split('.')[1],
)
def test_weights_are_missed_before_the_first_iteration(metric, tmp_path):
    config = tiny.write_config(tmp_path / 'config.py', tiny.write_pictures(tmp_path / 'data'))
    settings = with_metric(config, tmp_path / 'work', metric)
    with pytest.raises(FileNotFoundError, match="'no.pth' do"):
        tiny.train(config, tmp_path / 'work', MetricCheckHook(), **settings)
    assert not list((tmp_path / 'work').glob('*.pth'))


def test_domains_are_those_of_the_model(tmp_path):
    config = tiny.write_config(tmp_path / 'config.py', tiny.write_pictures(tmp_path / 'data'))
    settings = with_metric(config, tmp_path / 'work', dict(type='sesim_mmagic.PairedScores'))
    settings['val_evaluator'][0]['target_domain'] = 'zebra'
    with pytest.raises(ValueError, match=r"PairedScores measures .*'zebra', .* into \['b'\]"):
        tiny.train(config, tmp_path / 'work', MetricCheckHook(), **settings)
    assert not list((tmp_path / 'work').glob('*.pth'))
