"""Training and testing: the config, checks before hours are spent, the Runner."""

import logging
from collections.abc import Sequence
from pathlib import Path

import mmengine
from mmengine.config import Config
from mmengine.device import is_cuda_available
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from mmengine.runner import Runner

from sesim_mmagic.apis.command_line import check_out
from sesim_mmagic.apis.failures import failures_in_one_line
from sesim_mmagic.apis.model_zoo import resolve_model
from sesim_mmagic.apis.ranks import check_restarts, is_first_rank
from sesim_mmagic.datasets.config_checks import check_pictures
from sesim_mmagic.engine import checks
from sesim_mmagic.engine.cpu import bfloat16_speed, keep_freed_memory
from sesim_mmagic.engine.domain_mapping import DomainMappingHook
from sesim_mmagic.engine.hooks.results import ResultsHook
from sesim_mmagic.engine.hooks.translations import SaveTranslationsHook
from sesim_mmagic.engine.resume import ResumeFromConfig
from sesim_mmagic.engine.work_dir import TEST, check_start, check_test, earlier_training
from sesim_mmagic.registry import RUNNERS
from sesim_mmagic.utils.checkpoints import read_checkpoint
from sesim_mmagic.utils.files import write_atomically

METRIC_FORMATS = ('.json', '.yaml', '.yml', '.pkl')


def enable_amp(cfg: Config) -> None:
    """Turn on mixed precision for every optimizer of a config.

    On the CPU, where MMEngine has none, bfloat16 is used; where it is slower, that is said.

    Args:
        cfg (Config): Changed in place.

    Raises:
        ValueError: An optimizer wrapper has a type that mixed precision cannot replace.
    """
    amp = dict(type='AmpOptimWrapper', loss_scale='dynamic')
    if not is_cuda_available():
        amp = dict(type='sesim_mmagic.CpuAmpOptimWrapper')
        speed = bfloat16_speed()
        if speed < 1:
            print_log(
                f'--amp: in bfloat16 this processor takes {1 / speed:.1f} times as long as in '
                'float32; leave --amp out',
                'current',
                logging.WARNING,
            )
    wrappers = [cfg.optim_wrapper]
    if 'optimizer' not in cfg.optim_wrapper:  # a dictionary of optimizers
        wrappers = [w for w in cfg.optim_wrapper.values() if isinstance(w, dict)]
    for wrapper in wrappers:
        kind = wrapper.get('type', 'OptimWrapper')
        if kind == 'OptimWrapper':
            wrapper.update(amp)
        elif kind not in ('AmpOptimWrapper', 'sesim_mmagic.CpuAmpOptimWrapper'):
            raise ValueError(
                f"--amp replaces optimizer wrappers of type 'OptimWrapper', got "
                f"'{kind}'. Set its precision in the config."
            )


def enable_auto_scale_lr(cfg: Config) -> None:
    """Scale learning rates by batch size: ranks times pictures per rank over the base.

    Args:
        cfg (Config): Changed in place.

    Raises:
        ValueError: The config does not say which batch size its learning rates are for.
    """
    if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
        raise ValueError(
            '--auto-scale-lr needs the batch size that the learning rates of the '
            'config are for: set auto_scale_lr=dict(base_batch_size=...).'
        )
    cfg.auto_scale_lr.enable = True


def prepare_start(cfg: Config, overwrite: bool = False) -> None:
    """Check what the work directory of a training holds, and the checkpoint that it starts from.

    Args:
        cfg (Config): ``load_from``, a file or the name of a released model, is set to the file,
            or to the checkpoint that is resumed.
        overwrite (bool): Whether an earlier training in the work directory may be removed.

    Raises:
        FileNotFoundError: The checkpoint does not exist.
        ValueError: The checkpoint is damaged, no released model has the name, the work directory
            holds another training, or a restart would begin anew.
    """
    load_from, work_dir = cfg.get('load_from'), Path(cfg.work_dir)
    if overwrite and cfg.get('resume'):
        raise ValueError('--resume goes on with a training, --overwrite removes it: choose one.')
    check_restarts(cfg)
    if load_from:
        load_from = cfg.load_from = resolve_model(load_from)
        read_checkpoint(load_from)
    if work_dir.exists() and not work_dir.is_dir():
        raise ValueError(f"The work directory '{work_dir}' is a file: choose another --work-dir.")
    if not is_first_rank(cfg):  # the first one looks for all; later the training loop does
        return
    if not overwrite:
        # The training loop looks again, and writes into its log what there is to say.
        cfg.load_from = check_start(work_dir, bool(cfg.get('resume')), load_from, warns=False)
    # What is there goes when all checks are done, see train.
    elif load_from and Path(load_from).resolve() in map(Path.resolve, earlier_training(work_dir)):
        raise ValueError(
            f"--overwrite would remove '{load_from}', which load_from names: copy it to another "
            'folder first, or choose another --work-dir.'
        )
    if cfg.get('domain_mapping') and not cfg.get('load_from'):
        raise ValueError('domain_mapping renames the domains of load_from, which is not set')


def prepare_test(cfg: Config, checkpoint: str, out: str | None, overwrite: bool) -> None:
    """Check what a test reads, and that it does not mix what it writes with another's.

    Args:
        cfg (Config): Config of the test; ``load_from`` is set.
        checkpoint (str): Checkpoint to test, or name of a released model.
        out (str | None): File for the metrics.
        overwrite (bool): Whether what an earlier test wrote may be replaced.

    Raises:
        FileNotFoundError: The checkpoint does not exist.
        FileExistsError: ``out`` exists and stays.
        ValueError: The checkpoint is damaged, no released model has the name, metrics cannot be
            written to ``out``, or there are pictures of an earlier test where this one writes.
    """
    checkpoint = resolve_model(checkpoint)
    read_checkpoint(checkpoint)
    if out and Path(out).suffix not in METRIC_FORMATS:
        raise ValueError(f"--out takes a file that ends in one of {METRIC_FORMATS}, got '{out}'.")
    check_out(out, overwrite)
    if not overwrite and is_first_rank(cfg):
        check_test(Path(cfg.work_dir, TEST))
    cfg.load_from, cfg.resume = checkpoint, False


def check_data(cfg: Config, parts: Sequence[str] = ('train', 'val', 'test')) -> None:
    """Look whether the pictures of a config can be used; the first rank does it for all.

    Data sets look again when they are built, and find what the work directory notes.

    Args:
        cfg (Config): Config of a training or a test.
        parts (Sequence[str]): Whose pictures are needed (see ``check_pictures``).

    Raises:
        FileNotFoundError: A folder is missing.
        ValueError: Pictures cannot be used; they are named, all of them.
    """
    if is_first_rank(cfg):
        with failures_in_one_line(cfg, 'the data cannot be looked at'):
            check_pictures(cfg, parts)


def train(cfg: Config, overwrite: bool = False) -> Runner:
    """Build a Runner and train.

    Args:
        cfg (Config): Config of the training.
        overwrite (bool): Whether an earlier training in the work directory is removed.

    Returns:
        Runner: The runner, after training.
    """
    if not is_cuda_available():
        keep_freed_memory()
    with failures_in_one_line(cfg, 'the training did not start') as stage:
        runner = stage.runner = _build_runner(cfg)
        runner.register_hook(ResumeFromConfig(overwrite))
        if cfg.get('domain_mapping'):
            runner.register_hook(DomainMappingHook(cfg.domain_mapping))
        runner.train()
    print_log(f'Checkpoints and logs saved under {cfg.work_dir}', logger='current')
    return runner


def test(cfg: Config, out: str | None = None, overwrite: bool = False) -> Runner:
    """Build a Runner and test the checkpoint ``cfg.load_from``.

    Args:
        cfg (Config): Config of the test.
        out (str | None): File for the metrics.
        overwrite (bool): Whether pictures and scores of an earlier test are replaced, which
            happens when all that is known before the work has been checked.

    Returns:
        Runner: The runner, after testing.

    Raises:
        CommandError: Pictures, page and the other scores are written, but some are not.
    """
    with failures_in_one_line(cfg, 'the test failed') as stage:
        runner = stage.runner = _build_runner(cfg)
        checks.prepare_test(runner)
        checks.check_hooks(runner)
        for hook in runner.hooks:
            if isinstance(hook, (ResultsHook, SaveTranslationsHook)):
                hook.overwrite = overwrite
        metrics = runner.test()
        if out and is_main_process():
            content = mmengine.dump(metrics, file_format=Path(out).suffix[1:])
            write_atomically(out, content)
        checks.finish_test(runner)
    return runner


#: Hooks that MMEngine registers by itself; it takes None in the place of these alone.
_HOOKS_OF_MMENGINE = (
    'runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint'
)  # fmt: skip


def _build_runner(cfg: Config) -> Runner:
    hooks = cfg.get('default_hooks') or {}
    for name in [name for name, hook in hooks.items() if hook is None]:
        if name not in _HOOKS_OF_MMENGINE:
            hooks.pop(name)
    loaders = [cfg.get(f'{part}_dataloader') for part in ('train', 'val', 'test')]
    for loader in loaders:
        if isinstance(loader, list):
            loaders.extend(loader)
        elif isinstance(loader, dict) and loader.get('num_workers') == 0:
            # Torch refuses these beside it: there is no worker to keep or to feed.
            for name in ('persistent_workers', 'prefetch_factor'):
                loader.pop(name, None)
    if 'runner_type' in cfg:
        return RUNNERS.build(cfg)
    return Runner.from_cfg(cfg)
