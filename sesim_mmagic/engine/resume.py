"""A training goes on from a checkpoint as its config says: what counts, what cannot be resumed."""

import inspect
from typing import Any

import torch
from mmengine.dist import barrier, is_main_process
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner

from sesim_mmagic.engine.checks import check_hooks
from sesim_mmagic.engine.settings_diff import SettingsDiff
from sesim_mmagic.engine.work_dir import check_start, overwrite_training
from sesim_mmagic.registry import unwrapped
from sesim_mmagic.translators.feature_weights import check_features
from sesim_mmagic.utils.checkpoints import last_checkpoint
from sesim_mmagic.utils.weights import WeightsMismatch, adapt_names, differences

_BUFFERS = 'image_buffers.'
# What the learning rate at an iteration follows from.
_SCHEDULE = ('optim_wrapper', 'param_scheduler', 'auto_scale_lr')


def _check_state(checkpoint: dict, path: str, needs_schedule: bool) -> None:
    """Raise an error unless a checkpoint holds what a training needs to go on."""
    missing = [] if isinstance(checkpoint.get('optimizer'), dict) else ['optimizer']
    hub = checkpoint.get('message_hub')
    if not isinstance(hub, dict) or not {'log_scalars', 'runtime_info'} <= set(hub):
        missing.append('message_hub')
    if needs_schedule and not isinstance(checkpoint.get('param_schedulers'), dict | list):
        missing.append('param_schedulers')
    if not {'iter', 'epoch'} <= set(checkpoint.get('meta') or {}):
        missing.append('iteration')
    if missing:
        raise ValueError(
            f"Checkpoint '{path}' cannot be resumed, it lacks: {', '.join(missing)} (best and "
            'published checkpoints hold weights alone). Resume from an iter_*.pth, or leave '
            f"--resume out and set load_from='{path}': a new training from these weights."
        )


class ResumeFromConfig(Hook):
    """On resume the config counts, continued at the iteration that the checkpoint reached.

    :class:`ResumableIterTrainLoop` registers it, and ``tools/train.py`` where a config has another
    loop. MMEngine 0.10.7 takes learning rates, schedules and seeds from the checkpoint without a
    word, starts optimizers anew where their state is missing, and only warns where weights do not
    fit. Here

    * a work directory that holds another training is left alone
      (:func:`~sesim_mmagic.engine.work_dir.check_start`);
    * state that is missing and weights that do not fit are errors;
    * every setting that differs is said in one line;
    * where optimizers or schedules differ, the schedules are those of the config, brought to the
      iteration as a training without interruption would have brought them, and optimizers keep
      their moments under the config's hyper-parameters;
    * a seed that the config names counts.

    Where nothing differs, the state of the checkpoint is taken as it is, bit for bit.

    Args:
        overwrite (bool): Whether an earlier training in the work directory is removed; that
            happens when all that is known before the work has been checked. Defaults to False.
    """

    # Before hooks that change what is loaded.
    priority = 'VERY_HIGH'

    def __init__(self, overwrite: bool = False) -> None:
        self._overwrite = overwrite
        self._has_started = False

    def before_run(self, runner: Runner) -> None:
        """Before anything is loaded or written: look at what the work directory holds.

        Raises:
            FileNotFoundError: The checkpoint to resume from is missing.
            ValueError: The training may not begin in this directory, or not with these hooks.
        """
        if self._has_started:  # a test of the same run comes here again
            return
        self._has_started = True
        check_hooks(runner)
        if not self._overwrite:
            start = check_start(runner.work_dir, runner._resume, runner._load_from)
            runner._load_from = start

    def before_train(self, runner: Runner) -> None:
        """The model is built and loaded: now an earlier training may go, on rank 0."""
        if self._overwrite:
            if is_main_process():
                overwrite_training(runner.work_dir)
            barrier()
        self._overwrite = False

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare, say what differs, and put the config's values into the checkpoint.

        Raises:
            ValueError: The training cannot go on from this checkpoint.
        """
        if not runner._resume:
            return
        path = runner._load_from or last_checkpoint(runner.work_dir) or 'checkpoint'
        diff = SettingsDiff((checkpoint.get('meta') or {}).get('cfg'), runner.cfg)
        had_schedule = diff.saved is None or 'param_scheduler' in diff.saved
        _check_state(checkpoint, path, runner.param_schedulers is not None and had_schedule)
        _check_weights(runner, checkpoint, path)
        check_features(unwrapped(runner.model), checkpoint, path)
        iteration = checkpoint['meta']['iter']
        for line in diff.lines():
            runner.logger.warning(f'Resume at iteration {iteration}: {line}.')
        _check_optimizers(runner, checkpoint['optimizer'], path, iteration)
        counts = [
            {name: len(each) for name, each in _by_name(schedules).items()}
            for schedules in (checkpoint.get('param_schedulers'), runner.param_schedulers)
        ]
        if counts[0] != counts[1] or diff.touches(*_SCHEDULE) or _scales_rates_anew(runner, diff):
            _take_schedule_of_config(runner, checkpoint, path)
        seed = runner._randomness_cfg.get('seed')
        if seed is not None:
            checkpoint['meta']['seed'] = seed


def _check_weights(runner: Runner, checkpoint: dict, path: str) -> None:
    """All of them have to fit, but image buffers, which grow; their names are unified."""
    model = unwrapped(runner.model)
    expected = model.state_dict()
    saved = checkpoint['state_dict'] = adapt_names(expected, checkpoint['state_dict'])
    lines = differences(
        *({k: v for k, v in w.items() if not k.startswith(_BUFFERS)} for w in (expected, saved))
    )
    if lines:
        raise WeightsMismatch(type(model).__name__, lines, path)


def _wrappers(optim_wrapper: OptimWrapper) -> dict[str | None, OptimWrapper]:
    """Each optimizer by its name; None is the name of a single one."""
    return getattr(optim_wrapper, 'optim_wrappers', {None: optim_wrapper})


def _saved(optimizers: dict, name: str | None) -> dict:
    return optimizers if name is None else optimizers[name]


def _check_optimizers(runner: Runner, saved: dict, path: str, iteration: int) -> None:
    advice = f"Leave --resume out and set load_from='{path}': a new training from its weights."
    wrappers = _wrappers(runner.optim_wrapper)
    names = {None} if 'param_groups' in saved else set(saved)
    if set(wrappers) != names:
        raise ValueError(
            f"Checkpoint '{path}' holds the state of the optimizers {sorted(map(str, names))}, the "
            f'config has {sorted(map(str, wrappers))}. {advice}'
        )
    for name, wrapper in wrappers.items():
        state = _saved(saved, name)
        sizes = [
            [len(group['params']) for group in groups]
            for groups in (state['param_groups'], wrapper.optimizer.param_groups)
        ]
        if sizes[0] != sizes[1]:
            raise ValueError(
                f"Optimizer '{name}' of checkpoint '{path}' holds groups of {sizes[0]} weights, "
                f'that of the config {sizes[1]}. {advice}'
            )
        needed = _state_names(wrapper.optimizer)
        missing = {key for key in needed for kept in state['state'].values() if key not in kept}
        if needed and not state['state'] and iteration >= wrapper._accumulative_counts:
            raise ValueError(
                f"Optimizer '{name}' of checkpoint '{path}' holds no state of the {iteration} "
                f'iterations before. {advice}'
            )
        if missing:
            raise ValueError(
                f"Optimizer '{name}': {type(wrapper.optimizer).__name__} of the config needs "
                f"{sorted(missing)} of earlier iterations, which checkpoint '{path}' does not "
                f'hold: it was trained with another optimizer. {advice}'
            )


def _state_names(optimizer: torch.optim.Optimizer) -> set[str]:
    """What an optimizer keeps for each weight, seen at one that it steps once."""
    known = inspect.signature(type(optimizer)).parameters
    defaults = {name: value for name, value in optimizer.defaults.items() if name in known}
    weight = torch.zeros(1, requires_grad=True)
    weight.grad = torch.zeros(1)
    probe = type(optimizer)([weight], **defaults)
    probe.step()
    return {name for name, value in probe.state[weight].items() if value is not None}


def _by_name(schedules: Any) -> dict[str | None, list]:
    """Schedules, or their states, by the name of their optimizer; None is that of a single one."""
    return schedules if isinstance(schedules, dict) else {None: schedules or []}


def _scales_rates_anew(runner: Runner, diff: SettingsDiff) -> bool:
    """Whether the learning rates follow a batch size that is another one now."""
    scales = (runner.auto_scale_lr or {}).get('enable', False)
    return scales and diff.touches('train_dataloader.batch_size')


def _take_schedule_of_config(runner: Runner, checkpoint: dict, path: str) -> None:
    advance(runner, checkpoint['meta']['iter'], path, checkpoint['meta']['epoch'])
    for name, wrapper in _wrappers(runner.optim_wrapper).items():
        state, now = _saved(checkpoint['optimizer'], name), wrapper.state_dict()
        for key in ('state', 'loss_scaler'):
            if key in state and key in now:
                now[key] = state[key]
        if name is None:
            checkpoint['optimizer'] = now
        else:
            checkpoint['optimizer'][name] = now
    states = {
        name: [schedule.state_dict() for schedule in schedules]
        for name, schedules in _by_name(runner.param_schedulers).items()
    }
    if runner.param_schedulers is not None:
        checkpoint['param_schedulers'] = states.get(None, states)


def advance(runner: Runner, iteration: int, path: str, epoch: int = 0) -> None:
    """Bring new schedules to an iteration, step by step: they multiply rates up in this order.

    Args:
        runner (Runner): Whose optimizers and schedules are as at iteration 0.
        iteration (int): Number of iterations that were trained.
        path (str): Name of the checkpoint, for the message.
        epoch (int): Number of epochs. Defaults to 0: the loop counts none.

    Raises:
        ValueError: A schedule follows from more than the number of the iteration.
    """
    for schedules in _by_name(runner.param_schedulers).values():
        for schedule in schedules:
            if getattr(schedule, 'need_val_args', False):
                raise ValueError(
                    f'{type(schedule).__name__} follows the scores of all validations: it cannot '
                    'go on where optim_wrapper or param_scheduler changed. Leave both as they were '
                    f"in '{path}', or leave --resume out and set load_from='{path}'."
                )
            # Silences the warning that no optimizer has stepped yet.
            schedule.optimizer._global_step = 0
        for by_epoch, times in ((False, iteration), (True, epoch)):
            steps = [s.step for s in schedules if s.by_epoch is by_epoch]
            for _ in range(times):
                for step in steps:
                    step()
