"""The benchmark of training steps: what it reports, whom it calls, what it refuses."""

import json
import os
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
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
        made = self.netG(self.data['A'])
        self.log('step', made.dtype)
        self.netPre(made).sum().backward()
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


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'tools/benchmark'))
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')


@pytest.fixture
def train_step():
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


def test_configs_take_turns_and_report_multiply_adds_by_part(train_step, tmp_path, capsys):
    paths = []
    for name, width in (('narrow', 4), ('wide', 24)):
        paths.append(tmp_path / f'{name}.py')
        text = TINY.replace('(base_channels=4, num_blocks', f'(base_channels={width}, num_blocks')
        paths[-1].write_text(text)
    out = tmp_path / 'out.json'
    argv = ['--sizes', SIDE, '--batch', 2, '--repeats', 2, '--warmup', 1, '--threads', 1]
    train_step.main([str(argument) for argument in (*paths, *argv, '--out', out)])
    printed = capsys.readouterr().out
    report = json.loads(out.read_text())
    settings = dict(device='cpu', torch=torch.__version__, threads=1, batch=2, precision='fp32')
    assert {key: report[key] for key in settings} == settings
    ((narrow, wide),) = report['results']
    assert (narrow['step'], wide['step']) == ('narrow, 64 px', 'wide, 64 px')
    assert narrow['of the first'] == [1, 1]
    ratios = [own / first for own, first in zip(wide['ms'], narrow['ms'], strict=True)]
    assert wide['of the first'] == pytest.approx(ratios)
    assert wide['10^9 multiply-adds'] > 2 * narrow['10^9 multiply-adds']
    assert min(narrow['ms']) > 1 and narrow['peak MB'] > 1
    assert narrow['floor ms'] > 0 and narrow['x floor'] > 0

    # Source and translation go forward, gradients flow back through the translation alone.
    parts = narrow['by part']
    assert parts['features forward'] == pytest.approx(2 * 2 * vgg16_multiply_adds() / 1e9)
    assert parts['features backward'] == pytest.approx(2 * vgg16_multiply_adds() / 1e9)
    forward, backward = (parts[f'generators {way}'] for way in ('forward', 'backward'))
    assert forward < backward <= 2 * forward
    assert sum(parts.values()) == pytest.approx(narrow['10^9 multiply-adds'])
    for expected in ('| narrow, 64 px | ', ' (1 to 1) | ', 'features backward 0.'):
        assert expected in printed


@pytest.mark.parametrize(
    ('mode', 'augmented', 'single_image', 'expected', 'keys'),
    [
        ('fixed', False, False, 'lsgan --patch_size 64', 'A B'),
        ('fixed', False, True, 'nonsaturating --patch_size 64', 'A B'),
        (
            'learned',
            True,
            False,
            'lsgan --patch_size 32 --learned_attn --augment',
            'A B A_aug B_aug',
        ),
    ],
)
def test_the_reference_is_called_as_its_authors_do(
    reference, mode, augmented, single_image, expected, keys
):
    from authors import AuthorsStep
    from measuring import Worker
    from steps import ask, start

    spec = dict(
        reference=str(reference), mode=mode, augmented=augmented, single_image=single_image,
        size=8, batch=2, device='cpu', threads=1, autocast=single_image,
    )  # fmt: skip
    with Worker() as worker:
        worker.ask(start, AuthorsStep, spec)
        assert worker.ask(ask, 'seconds') > 0
        counts = worker.ask(ask, 'counts')
    argv, *calls = (reference / 'models/log').read_text().splitlines()
    assert (
        f'--model {"sinsc" if single_image else "sc"} ' in argv
        and '--gpu_ids -1' in argv
        and '--attn_layers 4,7,9' in argv
    )
    assert argv.endswith('--gan_mode ' + expected)
    dtype = 'bfloat16' if single_image else 'float32'
    step = [f'input {keys} 2 3 8 8 -1 1', f'step torch.{dtype}']
    assert calls == ['initialize', 'setup', 'parallelize', *step, *step, *step]
    # In bfloat16 the weights are copies that belong to no part.
    assert sum(counts.values()) == 2 * 64 * (2 * 9 + 3 * 27 * 64)
    assert single_image or counts == {
        'generators forward': 2 * 9 * 64,
        'generators backward': 2 * 9 * 64,
        'features forward': 2 * 64 * 27 * 64,
        'features backward': 2 * 2 * 64 * 27 * 64,
    }


def _threads():
    """Threads of this process, and what it is told of them."""
    return torch.get_num_threads(), os.environ.get('OMP_NUM_THREADS')


@pytest.mark.parametrize('setting', [None, '3'])
def test_processes_are_forked_from_one_of_one_thread_and_have_those_asked_for(monkeypatch, setting):
    """Else they would wait for threads that only their parent has, and hang."""
    import measuring

    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    if setting:
        monkeypatch.setenv('OMP_NUM_THREADS', setting)
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 3)
    start, told = measuring.forkserver.ensure_running, []
    monkeypatch.setattr(
        measuring.forkserver,
        'ensure_running',
        lambda: (told.append(os.environ['OMP_NUM_THREADS']), start()),
    )
    with measuring.Worker() as worker:
        assert worker.ask(_threads) == (3, setting)
    assert told == ['1'] and os.environ.get('OMP_NUM_THREADS') == setting


class Fake:
    """In place of a worker: a step whose times are known."""

    asked = []

    def __init__(self, seconds):
        self.seconds = iter(seconds)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def ask(self, function, *args):
        name, *args = (function.__name__, *args) if function.__name__ != 'ask' else args
        if name == 'record':
            self.asked.append((args[0], name))
            return None
        if name == 'floors':
            return [next(self.seconds) / 6, next(self.seconds) / 6]
        if name == 'start':
            self.name = args[0]
            return None
        self.asked.append((self.name, name))
        answers = dict(settle=None, peak=4.0, counts={'a forward': 10, 'other': 2})
        return next(self.seconds) if name == 'seconds' else answers[name]


def test_steps_are_compared_round_by_round(monkeypatch):
    import steps

    floors = [6, 6, 12, 3, 24, 48]  # of both steps, round by round
    fakes = iter([Fake(floors), Fake([9, 1, 2, 8]), Fake([9, 3, 2, 16])])
    monkeypatch.setattr(steps, 'Worker', lambda: next(fakes))
    spec = dict(warmup=1, repeats=3, device='cpu', threads=1)
    ours, reference = steps.measure([('x', 'ours', spec), ('authors', 'theirs', spec)])
    record, seconds, settle, peak, counts = (
        [('ours', question), ('theirs', question)]
        for question in ('record', 'seconds', 'settle', 'peak', 'counts')
    )
    assert Fake.asked == record + seconds + settle + seconds * 3 + peak + counts
    assert (ours['ms'], reference['ms']) == ([1000, 2000, 8000], [3000, 2000, 16000])
    assert (ours['of the first'], reference['of the first']) == ([1, 1, 1], [3, 1, 2])
    assert (ours['floor ms'], ours['x floor']) == (2000, 1)
    assert (reference['floor ms'], reference['x floor']) == (1000, 3)
    table = steps.report([ours, reference])
    assert '| authors | 3000 (2000 to 16000) | 2 (1 to 3) | 4 | 1.2e-08 |' in table


def test_the_floor_repeats_the_multiplications_of_a_step():
    """In their number, shapes, type and layout."""
    from floor import CallRecorder, Operand, floor_seconds

    layer = torch.nn.Conv2d(8, 16, 3, bias=False).to(memory_format=torch.channels_last)
    maps = torch.rand(1, 8, 10, 10).to(memory_format=torch.channels_last)
    with CallRecorder() as recorder, torch.autocast('cpu', torch.bfloat16):
        (layer(maps) + layer(maps)).sum().backward()
    (forward, twice), (backward, two) = recorder.calls.items()
    assert (forward.operator, twice, backward.operator, two) == (
        'convolution', 2, 'convolution_backward', 2,
    )  # fmt: skip
    half = torch.bfloat16
    assert forward.arguments[0] == Operand((1, 8, 10, 10), (800, 1, 80, 8), half)
    assert backward.arguments[0].stride == (0, 0, 0, 0)  # a sum's gradient is one number
    again = forward.arguments[0].tensor('cpu')
    assert (again.stride(), again.dtype) == ((800, 1, 80, 8), half) and again.float().std() > 0.5
    with CallRecorder() as replayed:
        assert floor_seconds(recorder.calls, 'cpu') > 0
    assert replayed.calls == {forward: 2, backward: 2}  # once before, once that counts


def test_a_step_that_fails_says_why(train_step, tiny, monkeypatch, capsys):
    options = '--cfg-options', 'model.generator.type=Nonsense'
    with pytest.raises(SystemExit):
        train_step.main([str(tiny), *options])
    assert 'Nonsense' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('argv', 'message'),
    [
        (['--repeats', '0'], "--repeats: a whole number of at least 1 is expected, got '0'"),
        (['--warmup', '-1'], "--warmup: a whole number of at least 0 is expected, got '-1'"),
        (['--sizes', '64', '0'], "--sizes: a whole number of at least 1 is expected, got '0'"),
        (['--device', 'cuda'], 'PyTorch finds no GPU'),
        (['--reference-precision', 'amp'], '--reference-precision needs --reference'),
        (['--reference', 'configs'], "'configs' holds no models/sc_model.py"),
        (['nowhere.py'], "onfig 'nowhere.py' does not exist"),
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
    argv = [str(config), '--reference', str(reference), '--cfg-options', changes]
    with pytest.raises(SystemExit) as error:
        train_step.main(argv)
    assert error.value.code == 2
    assert 'has no counterpart in the reference' in capsys.readouterr().err
