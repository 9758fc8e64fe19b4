"""tools/train.py, test.py and translate.py, called as from a shell."""

import importlib.util
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric

from sesim_mmagic.apis import launch
from sesim_mmagic.registry import METRICS
from tests.test_engine import tiny

TOOLS = Path(__file__).parents[2] / 'tools'


def tool(name):
    path = next(TOOLS.rglob(f'{name}.py'))
    spec = importlib.util.spec_from_file_location(f'tool_{name}', path)
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))  # as Python does for a script
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return module


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp('tools')
    return tiny.write_config(folder / 'config.py', tiny.write_pictures(folder / 'data'))


@pytest.fixture(scope='module')
def trained(config, tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('trained')
    tiny.train(config, work_dir, train_cfg__max_iters=2)
    return work_dir / 'iter_2.pth'


@pytest.fixture(scope='module')
def pictures(config):
    return Path(Config.fromfile(config).data.data_root, 'testA')


@pytest.fixture
def configs(monkeypatch):
    """The configs that reach training and testing, which do nothing here."""
    seen = []
    for name in ('train', 'test'):
        monkeypatch.setattr(launch, name, lambda cfg, *args, **kwargs: seen.append(cfg))
    return seen


def fails(capsys, name, *argv):
    """The message of a tool that refuses its arguments."""
    with pytest.raises(SystemExit) as error:
        tool(name).main([str(a) for a in argv])
    assert error.value.code == 2
    return capsys.readouterr().err.replace('\n', ' ')


def test_train_test_and_translate(config, pictures, tmp_path):
    work = tmp_path / 'work'
    tool('train').main(
        [
            str(config),
            '--work-dir',
            str(work),
            '--cfg-options',
            'train_cfg.max_iters=2',
            'experiment_name=tools',
        ]
    )
    out = tmp_path / 'metrics.json'
    tool('test').main(
        [
            str(config),
            str(work / 'iter_2.pth'),
            '--work-dir',
            str(work),
            '--out',
            str(out),
            '--cfg-options',
            'experiment_name=tools_test',
        ]
    )
    assert json.loads(out.read_text()) == {}
    tested = {p.name: cv2.imread(str(p)) for p in (work / 'test/translations/b').iterdir()}
    assert sorted(tested) == ['0.png', '1.png', '2.png']
    assert (work / 'test/index.html').is_file()

    tool('translate').main(
        [
            str(pictures),
            '--model',
            str(work / 'iter_2.pth'),
            '--out',
            str(tmp_path / 'out'),
            '--device',
            'cpu',
        ]
    )
    for name, picture in tested.items():
        translated = cv2.imread(str(tmp_path / 'out' / name))
        assert translated.shape == (30, 37, 3)
        assert np.array_equal(translated, picture), name


class Count(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results += [sample['fake_b'] for sample in data_samples]

    def compute_metrics(self, results):
        return dict(pictures=np.float64(len(results)))


def test_metrics_are_written(config, trained, tmp_path):
    METRICS.register_module(module=Count, force=True)
    cfg = tiny.load_config(
        config,
        tmp_path,
        load_from=str(trained),
        test_evaluator__metrics=[dict(type='sesim_mmagic.Count')],
    )
    launch.test(cfg, out=str(tmp_path / 'metrics.json'))
    assert json.loads((tmp_path / 'metrics.json').read_text()) == {'pictures': 3}
    assert '<td>pictures</td><td>3.000</td>' in (tmp_path / 'test/index.html').read_text()


def test_work_dir_is_named_after_the_config(config, configs, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    tool('train').main([str(config)])
    tool('train').main([str(config), '--cfg-options', 'work_dir=mine', 'train_cfg.max_iters=5'])
    assert [cfg.work_dir for cfg in configs] == ['work_dirs/config', 'mine']
    assert configs[1].train_cfg.max_iters == 5


@pytest.mark.parametrize('gpu', [False, True])
def test_amp_covers_every_optimizer(config, configs, tmp_path, monkeypatch, gpu):
    monkeypatch.setattr(launch, 'is_cuda_available', lambda: gpu)
    tool('train').main([str(config), '--amp', '--work-dir', str(tmp_path)])
    expected = 'AmpOptimWrapper' if gpu else 'sesim_mmagic.CpuAmpOptimWrapper'
    assert configs[0].optim_wrapper.generators.type == expected
    assert configs[0].optim_wrapper.discriminators.type == expected
    assert configs[0].optim_wrapper.constructor == 'MultiOptimWrapperConstructor'


def test_amp_of_one_optimizer(configs):
    cfg = Config(dict(optim_wrapper=dict(optimizer=dict(type='Adam'))))
    launch.enable_amp(cfg)
    assert cfg.optim_wrapper.type.endswith('AmpOptimWrapper')
    cfg.optim_wrapper.type = 'ApexOptimWrapper'
    with pytest.raises(ValueError, match='ApexOptimWrapper'):
        launch.enable_amp(cfg)


@pytest.mark.parametrize('speed, warning', [(1.5, ''), (0.5, '2.0 times as long as in float32')])
def test_amp_that_makes_it_slower_is_said(monkeypatch, speed, warning):
    monkeypatch.setattr(launch, 'is_cuda_available', lambda: False)
    monkeypatch.setattr(launch, 'bfloat16_speed', lambda: speed)
    said = []
    monkeypatch.setattr(launch, 'print_log', lambda message, *args: said.append(message))
    launch.enable_amp(Config(dict(optim_wrapper=dict(optimizer=dict(type='Adam')))))
    assert warning in ''.join(said) and len(said) == bool(warning)


@pytest.mark.skipif(torch.cuda.is_available(), reason='trains on the CPU')
def test_amp_trains_in_bfloat16_and_resumes(config, tmp_path):
    types = []

    def note(module, inputs, output):
        types.append(output.dtype)

    cfg = tiny.load_config(config, tmp_path / 'work')
    launch.enable_amp(cfg)
    options = dict(optim_wrapper=cfg.optim_wrapper)
    runner = tiny.train(config, tmp_path / 'work', train_cfg__max_iters=4, **options)
    handle = runner.model.discriminators['b'].register_forward_hook(note)
    tiny.train(config, tmp_path / 'work', resume=True, **options)
    handle.remove()
    whole = tiny.train(config, tmp_path / 'whole', **options)
    whole.model.discriminators['b'].register_forward_hook(note)
    with whole.optim_wrapper['discriminators'].optim_context(whole.model.discriminators):
        whole.model.discriminators['b'](torch.zeros(1, 3, 24, 24))
    assert types == [torch.bfloat16]
    tiny.assert_same_state(
        tiny.load(tmp_path / 'work/iter_6.pth'), tiny.load(tmp_path / 'whole/iter_6.pth')
    )


def test_auto_scale_lr(config, configs, capsys):
    assert 'base_batch_size' in fails(capsys, 'train', config, '--auto-scale-lr')
    tool('train').main(
        [str(config), '--auto-scale-lr', '--cfg-options', 'auto_scale_lr.base_batch_size=2']
    )
    assert configs[0].auto_scale_lr.enable is True


def test_resume_without_a_checkpoint_starts_from_scratch(config, configs, tmp_path):
    tool('train').main([str(config), '--resume', '--work-dir', str(tmp_path)])
    assert configs[0].resume is True and not configs[0].get('load_from')


def test_a_training_starts_from_a_released_model(config, configs, tmp_path, capsys):
    start = ['--work-dir', str(tmp_path), '--cfg-options']
    tool('train').main([str(config), *start, 'load_from=fsesim_kaokore'])
    shipped = Path(configs[0].load_from)
    assert shipped.is_file() and shipped.parent.name == 'models'
    assert shipped.name.startswith('fsesim_kaokore-sketch2painting128_')
    message = fails(capsys, 'train', config, *start, 'load_from=fsesim_kaokoro')
    assert 'fsesim_kaokore-sketch2painting128' in message


def test_resume_finds_the_checkpoint_of_a_moved_folder(config, configs, trained, tmp_path):
    (tmp_path / 'iter_2.pth').write_bytes(trained.read_bytes())
    (tmp_path / 'last_checkpoint').write_text('/elsewhere/iter_2.pth')
    tool('train').main([str(config), '--resume', '--work-dir', str(tmp_path)])
    assert configs[0].load_from == str(tmp_path / 'iter_2.pth')


def test_missing_files_are_named(config, trained, pictures, tmp_path, capsys):
    gone = tmp_path / 'gone'
    for name, *argv in (
        ('train', gone),
        ('test', config, gone),
        ('test', gone, trained),
        ('translate', pictures, '--model', gone, '--out', tmp_path),
        ('translate', pictures, '--model', trained, '--config', gone, '--out', tmp_path),
        ('translate', gone, '--model', trained, '--out', tmp_path),
    ):
        assert f"'{gone}' does not exist" in fails(capsys, name, *argv)
    (tmp_path / 'last_checkpoint').write_text(str(gone))
    message = fails(capsys, 'train', config, '--resume', '--work-dir', tmp_path)
    assert f"names '{gone}', which does not exist" in message


def test_damaged_checkpoints_are_named(config, trained, pictures, tmp_path, capsys):
    half, text = tmp_path / 'iter_4.pth', tmp_path / 'text.pth'
    half.write_bytes(trained.read_bytes()[:-1000])
    text.write_text('<html>404</html>')
    translate = ('translate', pictures, '--out', tmp_path, '--model')
    for argv in (('test', config), translate):
        assert f"'{half}' cannot be read: it is truncated" in fails(capsys, *argv, half)
        assert f"'{text}' cannot be read: it is not a" in fails(capsys, *argv, text)
    (tmp_path / 'iter_2.pth').write_bytes(trained.read_bytes())
    (tmp_path / 'last_checkpoint').write_text(str(half))
    message = fails(capsys, 'train', config, '--resume', '--work-dir', tmp_path)
    assert f"'{half}' cannot be read: it is truncated" in message and "['iter_2.pth']" in message
    message = fails(capsys, 'train', config, '--cfg-options', f'load_from={half}')
    assert f"'{half}' cannot be read: it is truncated" in message


def test_format_of_metrics_is_checked_first(config, trained, capsys):
    assert '.json' in fails(capsys, 'test', config, trained, '--out', 'metrics.csv')


def test_translations_do_not_collide(trained, tmp_path, capsys):
    for name in ('1.png', '1.jpg'):
        cv2.imwrite(str(tmp_path / name), np.zeros((16, 16, 3), np.uint8))
    out = tmp_path / 'out'
    argv = (tmp_path, '--model', trained, '--out', out, '--device', 'cpu')
    assert tool('translate').main([str(a) for a in argv]) == 0
    assert sorted(path.name for path in out.glob('*.png')) == ['1.jpg.png', '1.png.png']
    argv = (tmp_path, '--model', trained, '--out', tmp_path)
    assert 'would be overwritten' in fails(capsys, 'translate', *argv)


@pytest.mark.parametrize('name', ['evaluate', 'export', 'to_sesim', 'data_loading'])
def test_files_are_not_replaced_unasked(tmp_path, capsys, name):
    """The rule of ``command_line.check_out``, which these tools ask before they work."""
    out = tmp_path / 'result.json'
    out.write_text('mine')
    arguments = dict(
        evaluate=(tmp_path, '--truth', tmp_path),
        export=('--model', tmp_path / 'none.pth', '--format', 'onnx'),
        to_sesim=(tmp_path / 'none.pth', '--source', 'a', '--target', 'b'),
        data_loading=(tmp_path / 'none.py',),
    )[name]
    message = fails(capsys, name, *arguments, '--out', out)
    assert f"'{out}' exists: replace it by --overwrite" in message
    assert out.read_text() == 'mine'
