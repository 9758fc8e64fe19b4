"""The benchmark of a training step: what it reports, whom it calls, what it refuses."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / 'tools/benchmark/train_step.py'
SIDE = 64
TINY = f"""
_base_ = '{ROOT}/configs/fsesim/fsesim_resnet_1xb1-534kiters_horse2zebra.py'
model = dict(
    generator=dict(base_channels=4, num_blocks=1),
    discriminator=dict(base_channels=4, num_layers=2),
    structure_loss=dict(num_patches=16, feature_net=dict(width=0.125)),
)
"""
# A stand-in with the interface of the authors' code, and none of its contents.
STUB = {
    'options/train_options.py': """
import argparse, sys

class TrainOptions:
    def parse(self):
        return argparse.Namespace(argv=sys.argv[1:])
""",
    'models/__init__.py': """
import torch, torchvision, h5py
from pathlib import Path

def create_model(opt):
    return Model(opt)

class Model:
    def __init__(self, opt):
        self.log(*opt.argv)
        self.netG, self.netD, self.netF = (torch.nn.Conv2d(3, 3, 1) for _ in range(3))
        self.netPre = torchvision.models.vgg16(pretrained=True).features[0]

    def log(self, *words):
        with open(Path(__file__).parent / 'log', 'a') as file:
            print(*words, file=file)

    def data_dependent_initialize(self, data):
        self.log('initialize')

    def setup(self, opt):
        self.log('setup')

    def parallelize(self):
        self.log('parallelize')

    def set_input(self, data):
        self.data = data
        pictures = {k: v for k, v in data.items() if torch.is_tensor(v)}
        low, high = torch.stack([*pictures.values()]).aminmax()
        self.log('input', *pictures, *data['A'].shape, round(float(low)), round(float(high)))

    def optimize_parameters(self):
        self.log('step')
        self.netPre(self.netG(self.data['A'])).sum().backward()
""",
    'models/sc_model.py': '',
}


@pytest.fixture
def tiny(tmp_path):
    path = tmp_path / 'tiny.py'
    path.write_text(TINY)
    return path


@pytest.fixture
def reference(tmp_path):
    for name, text in STUB.items():
        path = tmp_path / 'reference' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / 'reference'


@pytest.fixture
def train_step(monkeypatch):
    monkeypatch.syspath_prepend(TOOL.parent)
    import train_step

    return train_step


def vgg16_multiply_adds():
    """Of one picture through the ten convolutions up to relu4_3, at an eighth of the width."""
    stages = ((8, 8), (16, 16), (32, 32, 32), (64, 64, 64))
    total, before = 0, 3
    for stage, widths in enumerate(stages):
        for width in widths:
            total += before * width * 9 * (SIDE >> stage) ** 2
            before = width
    return total


def test_a_run_reports_times_and_multiply_adds_of_every_part(tiny, tmp_path):
    out = tmp_path / 'out.json'
    argv = [tiny, '--sizes', SIDE, '--batch', 2, '--repeats', 2, '--warmup', 1, '--threads', 2]
    run = subprocess.run(
        [sys.executable, TOOL, *map(str, argv), '--out', out],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    report = json.loads(out.read_text())
    settings = dict(device='cpu', torch=torch.__version__, threads=2, batch=2, precision='fp32')
    assert {key: report[key] for key in settings} == settings
    (result,) = report['results']
    assert (result['size'], result['mode'], 'reference' in result) == (SIDE, 'fixed', False)
    ours, floor = result['ours'], result['ours']['floor']
    assert len(ours['times_ms']) == 2 and ours['median_ms'] == sum(ours['times_ms']) / 2
    assert ours['range_ms'] == [min(ours['times_ms']), max(ours['times_ms'])]
    assert min(ours['times_ms']) > 1 and ours['peak_mb'] > 1

    # Source and translation go forward, gradients flow back through the translation alone.
    parts = ours['multiply_adds_by_part']
    assert parts['VGG16 forward'] == 2 * 2 * vgg16_multiply_adds()
    assert parts['VGG16 backward'] == 2 * vgg16_multiply_adds()
    forward, backward = (parts[f'generator {way}'] for way in ('forward', 'backward'))
    assert forward < backward <= 2 * forward
    assert sum(parts.values()) == ours['multiply_adds'] and parts['other'] >= 0

    assert floor['ms'] > 0 and floor['step_over_floor'] > 1
    assert set(floor['gigamultiply_adds_per_second']) == {'matmul', 'convolution'}
    for expected in ('tiny.py, 64 x 64', f'ours {ours["median_ms"]:.1f} (', 'VGG16 backward 0.'):
        assert expected in ' '.join(run.stdout.split())


@pytest.mark.parametrize(
    ('mode', 'augmented', 'single_image', 'expected', 'keys'),
    [
        ('fixed', False, False, 'lsgan --patch_size 64', 'A B'),
        ('fixed', False, True, 'nonsaturating --patch_size 64', 'A B'),
        (
            'learned',
            True,
            False,
            'lsgan --augment --patch_size 32 --learned_attn',
            'A B A_aug B_aug',
        ),
    ],
)
def test_the_reference_is_called_as_its_authors_do(
    train_step, reference, mode, augmented, single_image, expected, keys
):
    spec = dict(
        reference=str(reference), mode=mode, augmented=augmented, single_image=single_image,
        size=8, batch=2, device='cpu', threads=1,
    )  # fmt: skip
    worker = train_step.Worker('reference', spec)
    try:
        assert worker.ask('seconds') > 0
        counts = worker.ask('multiply_adds')
    finally:
        worker.close()
    argv, *calls = (reference / 'models/log').read_text().splitlines()
    assert (
        f'--model {"sinsc" if single_image else "sc"} ' in argv
        and '--gpu_ids -1' in argv
        and '--attn_layers 4,7,9' in argv
    )
    assert argv.endswith('--gan_mode ' + expected)
    step = [f'input {keys} 2 3 8 8 -1 1', 'step']
    assert calls == ['initialize', 'setup', 'parallelize', *step, *step, *step]
    assert counts['parts'] == {
        'generator forward': 2 * 9 * 64,
        'generator backward': 2 * 9 * 64,
        'VGG16 forward': 2 * 64 * 27 * 64,
        'VGG16 backward': 2 * 2 * 64 * 27 * 64,
        'other': 0,
    }


def test_steps_are_interleaved_and_compared_round_by_round(train_step):
    asked = []

    class Fake:
        def __init__(self, name, seconds):
            self.name, self.seconds = name, iter(seconds)

        def ask(self, question):
            asked.append((self.name, question))
            return next(self.seconds)

    ours, reference = [1, 2, 8], [3, 2, 16]
    workers = {'ours': Fake('ours', ours), 'reference': Fake('reference', reference)}
    seconds = train_step.run_rounds(workers, 3)
    assert asked == [('ours', 'seconds'), ('reference', 'seconds')] * 3
    counts = dict(total=10, parts={})
    result = {name: train_step.summary(seconds[name], 4, counts) for name in seconds}
    compared = train_step.compare(result, seconds)
    assert (compared['time'], compared['time_range']) == (2, (1, 3))
    assert (compared['time_of_fastest'], compared['peak_mb'], compared['multiply_adds']) == (
        2,
        1,
        1,
    )


def test_the_floor_takes_the_best_rate_of_each_round(train_step):
    rates = dict(matmul=[10, 1], convolution=[5, 20])
    floor = train_step.floor([3, 3], 20, rates)
    assert (floor['ms'], floor['step_over_floor']) == (1500, 2.25)


def test_a_method_that_fails_says_why(train_step, tiny):
    spec = dict(
        config=str(tiny), cfg_options={'model.generator.type': 'Nonsense'}, device='cpu',
        precision='fp32', channels_last=False, compile=False, mode=None, augmented=False,
        threads=1,
    )  # fmt: skip
    with pytest.raises(SystemExit, match=r'(?s)ours: .*Nonsense'):
        train_step.Worker('ours', spec)


@pytest.mark.parametrize(
    ('argv', 'message'),
    [
        (['--repeats', '0'], '--repeats must be 1 or more, got 0'),
        (['--warmup', '-1'], '--warmup must be 0 or more, got -1'),
        (['--sizes', '64', '0'], '--sizes must be positive, got 0'),
        (['--device', 'cuda'], 'PyTorch finds no GPU'),
        (['--reference', 'configs'], "'configs' holds no models/sc_model.py"),
        (['nowhere.py'], "config 'nowhere.py' does not exist"),
    ],
)
def test_what_cannot_be_measured_is_refused(train_step, tiny, monkeypatch, capsys, argv, message):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(SystemExit) as error:
        train_step.main([str(tiny), *argv])
    assert error.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ('config', 'changes'),
    [
        (None, "model.structure_loss.type='sesim_mmagic.Other'"),
        (None, 'model.structure_loss=None'),
        # the loss of the reference, but two generators
        ('configs/cyclegan/cyclegan-fsesim_resnet_1xb1-270kiters_horse2zebra.py', 'work_dir=x'),
    ],
)
def test_a_config_without_counterpart_meets_no_reference(
    train_step, tiny, reference, capsys, config, changes
):
    config = ROOT / config if config else tiny
    argv = [str(config), '--reference', str(reference), '--sizes', '32', '--repeats', '1']
    argv += ['--cfg-options', changes]
    with pytest.raises(SystemExit) as error:
        train_step.main(argv)
    assert error.value.code == 2
    assert 'has no counterpart in the reference' in capsys.readouterr().err


def test_configs_take_turns(tmp_path):
    paths = []
    for name, width in (('narrow', 4), ('wide', 32)):
        paths.append(tmp_path / f'{name}.py')
        text = TINY.replace(
            'generator=dict(base_channels=4', f'generator=dict(base_channels={width}'
        )
        paths[-1].write_text(text)
    out = tmp_path / 'out.json'
    command = [sys.executable, TOOL.with_name('compare_steps.py'), *paths, '--sizes', SIDE]
    command += ['--repeats', 2, '--warmup', 1, '--out', out]
    ended = subprocess.run([str(c) for c in command], capture_output=True, text=True, cwd=ROOT)
    assert ended.returncode == 0, ended.stderr
    ((narrow, wide),) = json.loads(out.read_text())['results']
    assert narrow['time_ratio_range'] == [1, 1] and wide['time_ratio'] > 1
    assert wide['multiply_adds'] > 4 * narrow['multiply_adds']
    for row, round_times in ((narrow, narrow['times_ms']), (wide, wide['times_ms'])):
        ratios = [own / one for own, one in zip(round_times, narrow['times_ms'], strict=True)]
        assert row['time_ratio_range'] == pytest.approx([min(ratios), max(ratios)])
    assert '| wide, 64 px |' in ended.stdout
