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
class Dataset:
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


PROCEDURAL = Dataset(
    'resnet-w24_1xb4_shapes64.py',
    500,
    ('textured', 'flat'),
    tuple(METHODS)[:9],
    ('foreground_iou', 'miou_permuted', 'boundary_f1', 'psnr', 'style'),
)
KAOKORE = Dataset(
    'resnet-w32_1xb1-4kiters_kaokore128.py',
    4000,
    ('sketch', 'painting'),
    ('none', 'cut', 'fsesim', 'lsesim'),
    ('psnr', 'ssim', 'boundary_f1'),
)
MODES = Dataset(
    'w16_1xb4_shape-modes64.py',
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
DATASETS = {
    'mismatch': PROCEDURAL,
    'matched': PROCEDURAL,
    'kaokore': KAOKORE,
    'modes': MODES,
    'kaokore-styles': KAOKORE_STYLES,
    'handbags': HANDBAGS,
}
#: Datasets of pictures, which are not written here.
FOLDERS = {
    'kaokore': 'kaokore_sketch',
    'kaokore-styles': 'kaokore_sketch',
    'handbags': 'edges2handbags_demo',
}
#: Looks of the target domain in the dataset ``modes``.
NUM_MODES = 4


def make_data(name: str, out: Path) -> Path:
    """Folder of a dataset's data set; the synthetic ones are written under ``out``."""
    if name in FOLDERS:
        return ROOT / 'data' / FOLDERS[name]
    from sesim_mmagic.datasets.synthetic_shapes import write_shapes

    if name == 'modes':
        return write_shapes(out / 'dataset', layout='matched', num_train=2000, modes=NUM_MODES)
    return write_shapes(out / 'dataset', layout=name, num_train=2000)


def load_config(dataset: str, method: str):
    """Config of a method on a dataset, and its path in the repository."""
    from mmengine.config import Config

    path = f'configs/{METHODS[method][1]}_{DATASETS[dataset].config}'
    return Config.fromfile(ROOT / path), path


def scaled_rates(config, lr_scale: float) -> dict:
    """Settings that let rates and moving average go ``lr_scale`` times as fast."""
    ema = config.model.get('ema')
    settings = {'model.ema.momentum': ema.momentum * lr_scale} if ema else {}
    for key, wrapper in config.optim_wrapper.items():
        if isinstance(wrapper, dict):
            settings[f'optim_wrapper.{key}.optimizer.lr'] = wrapper.optimizer.lr * lr_scale
    return settings


def make_run(
    dataset: str,
    method: str,
    seed: int,
    iterations: int,
    lr_scale: float,
    out: Path,
    data: Path,
    settings: dict | None = None,
) -> Run:
    """A training of a method on a dataset; further ``settings`` by dotted keys."""
    config, path = load_config(dataset, method)
    settings = {**scaled_rates(config, lr_scale), **(settings or {})}
    for loader in ('train', 'val', 'test'):
        settings[f'{loader}_dataloader.dataset.data_root'] = str(data)
    return Run(
        f'{METHODS[method][0]}, {dataset}',
        path,
        str(out / f'{method}_seed{seed}_{iterations}iters'),
        iterations,
        seed,
        settings,
    )
