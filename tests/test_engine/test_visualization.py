"""MMagic's own visualisation beside the hooks of this package."""

from mmengine.runner import Runner

from tests.test_engine import tiny


def test_visualization_hook_of_mmagic_works_in_training_and_test(tmp_path):
    config = tiny.write_config(tmp_path / 'config.py', tiny.write_pictures(tmp_path / 'data'))
    options = dict(
        visualizer=dict(type='Visualizer', vis_backends=[dict(type='VisBackend')]),
        custom_hooks=[
            dict(
                type='VisualizationHook',
                interval=2,
                n_samples=2,
                fixed_input=True,
                vis_kwargs_list=dict(type='Translation', name='translations'),
            ),
        ],
    )
    trained = tiny.train(config, tmp_path / 'seen', **options)
    drawn = sorted(p.name for p in (tmp_path / 'seen').rglob('translations*.png'))
    assert len(drawn) == 3, drawn

    tiny.train(config, tmp_path / 'unseen')
    tiny.assert_same_state(
        tiny.load(tmp_path / 'seen/iter_6.pth'), tiny.load(tmp_path / 'unseen/iter_6.pth')
    )

    Runner.from_cfg(
        tiny.load_config(
            config, tmp_path / 'test', load_from=str(tmp_path / 'seen/iter_6.pth'), **options
        )
    ).test()
    assert trained.model.training
    drawn = {p.name for p in (tmp_path / 'test').rglob('test_fake_b*.png')}
    assert len(drawn) == 3, drawn
