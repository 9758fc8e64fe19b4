"""What the comparisons of structure losses share: data sets with a truth, and methods."""

from dataclasses import dataclass, replace
from pathlib import Path

from runs import ROOT, Run

#: Title and beginning of the config's path, for each method.
METHODS = {
    'none': ('no structure loss', 'baselines/no-structure'),
    'pixel': ('pixel L1', 'baselines/pixel'),
    'perceptual': ('perceptual', 'baselines/perceptual'),
    'cut': ('CUT', 'cut/cut'),
    'fastcut': ('FastCUT', 'cut/fastcut'),
    'cyclegan': ('CycleGAN', 'cyclegan/cyclegan'),
    'cyclegan-fsesim': ('CycleGAN + FSeSim', 'cyclegan/cyclegan-fsesim'),
    'fsesim': ('FSeSim', 'fsesim/fsesim'),
    'lsesim': ('LSeSim', 'lsesim/lsesim'),
    'munit': ('MUNIT', 'munit/munit'),
    'sesim-munit': ('SeSim-MUNIT', 'munit/sesim-munit'),
    'one-sided': ('one-sided SeSim-MUNIT', 'munit/one-sided-sesim-munit'),
}


@dataclass(frozen=True)
class World:
    """A data set with a truth, and the configs that methods train on it.

    Args:
        config: End of the configs' names.
        iterations: Iterations of the configs.
        domains: Source and target.
        methods: Methods that are compared unless others are named.
        scores: Scores of the table.
        reference: Method whose time all others get.
    """

    config: str
    iterations: int
    domains: tuple[str, str]
    methods: tuple[str, ...]
    scores: tuple[str, ...]
    reference: str = 'fsesim'


PROCEDURAL = World(
    'resnet-w24_1xb4_procedural64.py',
    500,
    ('textured', 'flat'),
    tuple(METHODS)[:9],
    ('foreground_iou', 'miou_permuted', 'boundary_f1', 'psnr', 'style'),
)
KAOKORE = World(
    'resnet-w32_1xb1-4kiters_kaokore128.py',
    4000,
    ('sketch', 'painting'),
    ('none', 'cut', 'fsesim', 'lsesim'),
    ('psnr', 'ssim', 'boundary_f1'),
)
MODES = World(
    'w16_1xb4_procedural-modes64.py',
    1000,
    ('flat', 'textured'),
    ('munit', 'sesim-munit', 'one-sided'),
    ('covered', 'entropy', 'distance', 'foreground_iou', 'lpips'),
    reference='munit',
)
KAOKORE_STYLES = replace(
    MODES,
    config='w16_1xb1_kaokore128.py',
    domains=('sketch', 'painting'),
    scores=('lpips', 'distance', 'boundary_f1'),
)
HANDBAGS = replace(
    KAOKORE_STYLES, config='w16_1xb1_edges2handbags-demo128.py', domains=('edge', 'handbag')
)
WORLDS = {
    'mismatch': PROCEDURAL,
    'matched': PROCEDURAL,
    'kaokore': KAOKORE,
    'modes': MODES,
    'kaokore-styles': KAOKORE_STYLES,
    'handbags': HANDBAGS,
}
#: Worlds of pictures, which are not written here.
FOLDERS = {
    'kaokore': 'kaokore_sketch',
    'kaokore-styles': 'kaokore_sketch',
    'handbags': 'edges2handbags_demo',
}
#: Looks of the target domain in the world ``modes``.
NUM_MODES = 4


def make_data(name: str, out: Path) -> Path:
    """Folder of a world's data set; the procedural ones are written under ``out``."""
    if name in FOLDERS:
        return ROOT / 'data' / FOLDERS[name]
    from sesim_mmagic.datasets.procedural_world import write_world

    if name == 'modes':
        return write_world(out / 'world', layout='matched', num_train=2000, modes=NUM_MODES)
    return write_world(out / 'world', layout=name, num_train=2000)


def load_config(world: str, method: str):
    """Config of a method on a world, and its path in the repository."""
    from mmengine.config import Config

    path = f'configs/{METHODS[method][1]}_{WORLDS[world].config}'
    return Config.fromfile(ROOT / path), path


def paced(config, pace: float) -> dict:
    """Settings that let a training learn ``pace`` times as fast: rates, and the moving average."""
    ema = config.model.get('ema')
    settings = {'model.ema.momentum': ema.momentum * pace} if ema else {}
    for key, wrapper in config.optim_wrapper.items():
        if isinstance(wrapper, dict):
            settings[f'optim_wrapper.{key}.optimizer.lr'] = wrapper.optimizer.lr * pace
    return settings


def make_run(
    world: str,
    method: str,
    seed: int,
    iterations: int,
    pace: float,
    out: Path,
    data: Path,
    settings: dict | None = None,
) -> Run:
    """A training of a method on a world; further ``settings`` by dotted keys."""
    config, path = load_config(world, method)
    settings = {**paced(config, pace), **(settings or {})}
    for loader in ('train', 'val', 'test'):
        settings[f'{loader}_dataloader.dataset.data_root'] = str(data)
    return Run(
        f'{METHODS[method][0]}, {world}',
        path,
        str(out / f'{method}_seed{seed}_{iterations}iters'),
        iterations,
        seed,
        settings,
    )
