"""Training and testing: the config, checks before hours are spent, the Runner."""

import atexit
import os
import sys
from pathlib import Path

import mmengine
import torch
from mmengine.device import is_cuda_available
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from mmengine.runner import Runner

from sesim_mmagic.apis.failures import failures_told
from sesim_mmagic.datasets.config_checks import check_pictures
from sesim_mmagic.engine.checks import check_hooks, finish_test, prepare_test
from sesim_mmagic.engine.cpu import keep_freed_memory
from sesim_mmagic.engine.domain_mapping import DomainMappingHook
from sesim_mmagic.engine.hooks.results import ResultsHook
from sesim_mmagic.engine.hooks.translations import SaveTranslationsHook
from sesim_mmagic.engine.resume import ResumeFromConfig
from sesim_mmagic.engine.work_dir import TEST, check_start, check_test, earlier_training
from sesim_mmagic.utils.checkpoints import check_checkpoint
from sesim_mmagic.utils.files import write_atomically

METRIC_FORMATS = ('.json', '.yaml', '.yml', '.pkl')


def enable_amp(cfg):
    """Turn on mixed precision for every optimizer of a config.

    On the CPU, where MMEngine has none, bfloat16 is used.

    Args:
        cfg (Config): Changed in place.

    Raises:
        ValueError: An optimizer wrapper has a type that mixed precision cannot replace.
    """
    amp = dict(type='AmpOptimWrapper', loss_scale='dynamic')
    if not is_cuda_available():
        amp = dict(type='sesim_mmagic.CpuAmpOptimWrapper')
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


def enable_auto_scale_lr(cfg):
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


def prepare_start(cfg, overwrite=False):
    """Check what the work directory of a training holds, and the checkpoint that it starts from.

    Args:
        cfg (Config): ``load_from`` is set to the checkpoint that is resumed.
        overwrite (bool): Whether an earlier training in the work directory may be removed.

    Raises:
        FileNotFoundError: The checkpoint does not exist.
        ValueError: The checkpoint is damaged, or the work directory holds another training.
    """
    if overwrite and cfg.get('resume'):
        raise ValueError('--resume goes on with a training, --overwrite removes it: choose one.')
    if cfg.get('load_from'):
        check_checkpoint(cfg.load_from)
    if Path(cfg.work_dir).exists() and not Path(cfg.work_dir).is_dir():
        raise ValueError(
            f"The work directory '{cfg.work_dir}' is a file: choose another --work-dir."
        )
    if not _is_first_rank(cfg):  # the first one looks for all; later the training loop does
        return
    if overwrite:  # what is there goes when all checks are done, see train
        _check_not_inside(cfg.get('load_from'), cfg.work_dir)
    else:
        cfg.load_from = check_start(cfg.work_dir, bool(cfg.get('resume')), cfg.get('load_from'))
    if cfg.get('domain_mapping') and not cfg.get('load_from'):
        raise ValueError('domain_mapping renames the domains of load_from, which is not set')


def prepare_test_folder(cfg):
    """Check that a test does not mix its pictures with those of another.

    Args:
        cfg (Config): Config of the test.

    Raises:
        ValueError: There are pictures of an earlier test where this one writes.
    """
    if _is_first_rank(cfg):
        check_test(Path(cfg.work_dir, TEST))


def _check_not_inside(checkpoint, work_dir):
    """Raise an error if what a training starts from would be removed before it does."""
    if checkpoint and Path(checkpoint).resolve() in [
        path.resolve() for path in earlier_training(Path(work_dir))
    ]:
        raise ValueError(
            f"--overwrite would remove '{checkpoint}', which load_from names: copy it to another "
            'folder first, or choose another --work-dir.'
        )


def _is_first_rank(cfg):
    """Whether this process is the first of a job; told by what its launcher sets."""
    if cfg.get('launcher', 'none') == 'none':
        return True
    names = ('RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK')
    return int(next((os.environ[name] for name in names if name in os.environ), 0)) == 0


def check_metrics_file(path):
    """Raise ValueError unless metrics can be written to ``path`` (see ``METRIC_FORMATS``)."""
    if Path(path).suffix not in METRIC_FORMATS:
        raise ValueError(f"--out takes a file that ends in one of {METRIC_FORMATS}, got '{path}'.")


def check_data(cfg, parts=('train', 'val', 'test')):
    """Look whether the pictures of a config can be used; the first rank does it for all.

    Data sets look again when they are built, and find what the work directory notes.

    Args:
        cfg (Config): Config of a training or a test.
        parts (Sequence[str]): Whose pictures are needed (see ``check_pictures``).

    Raises:
        FileNotFoundError: A folder is missing.
        ValueError: Pictures cannot be used; they are named, all of them.
    """
    rank = os.environ.get('RANK', os.environ.get('SLURM_PROCID', '0'))
    if cfg.get('launcher', 'none') == 'none' or rank == '0':
        with failures_told(cfg, 'the data cannot be looked at'):
            check_pictures(cfg, parts)


def train(cfg, overwrite=False):
    """Build a Runner and train.

    Args:
        cfg (Config): Config of the training.
        overwrite (bool): Whether an earlier training in the work directory is removed.

    Returns:
        Runner: The runner, after training.
    """
    if not is_cuda_available():
        keep_freed_memory()
    with failures_told(cfg, 'the training did not start') as stage:
        runner = stage.runner = _build_runner(cfg)
        runner.register_hook(ResumeFromConfig(overwrite))
        if cfg.get('domain_mapping'):
            runner.register_hook(DomainMappingHook(cfg.domain_mapping))
        runner.train()
    print_log(f'Checkpoints and logs saved under {cfg.work_dir}', logger='current')
    return runner


def test(cfg, out=None, overwrite=False):
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
    with failures_told(cfg, 'the test failed') as stage:
        runner = stage.runner = _build_runner(cfg)
        prepare_test(runner)
        check_hooks(runner)
        for hook in runner.hooks:
            if isinstance(hook, (ResultsHook, SaveTranslationsHook)):
                hook.overwrite = overwrite
        metrics = runner.test()
        if out and is_main_process():
            content = mmengine.dump(metrics, file_format=Path(out).suffix[1:])
            write_atomically(out, content)
        finish_test(runner)
    return runner


def leave_job():
    """End the process of a rank when all ranks are done; nothing happens in a single process.

    At the end of the interpreter, communication threads that still run are aborted by C++ now and
    then ("terminate called without an active exception"), whether or not the group was destroyed
    before, and the launcher reports a job as failed whose work is complete. So the process ends
    here, after what is registered to run at its end.
    """
    if not torch.distributed.is_initialized():
        return
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _without_idle_settings(loader):
    """Drop what torch refuses beside ``num_workers=0``: there is no worker to keep or to feed."""
    for one in loader if isinstance(loader, list) else [loader]:
        if isinstance(one, dict) and one.get('num_workers') == 0:
            for name in ('persistent_workers', 'prefetch_factor'):
                one.pop(name, None)


#: Hooks that MMEngine registers by itself; it takes None in the place of these alone.
_HOOKS_OF_MMENGINE = (
    'runtime_info',
    'timer',
    'sampler_seed',
    'logger',
    'param_scheduler',
    'checkpoint',
)


def _build_runner(cfg):
    hooks = cfg.get('default_hooks') or {}
    for name in [name for name, hook in hooks.items() if hook is None]:
        if name not in _HOOKS_OF_MMENGINE:
            hooks.pop(name)
    for part in ('train', 'val', 'test'):
        _without_idle_settings(cfg.get(f'{part}_dataloader'))
    if 'runner_type' in cfg:
        from sesim_mmagic.registry import RUNNERS

        return RUNNERS.build(cfg)
    return Runner.from_cfg(cfg)
