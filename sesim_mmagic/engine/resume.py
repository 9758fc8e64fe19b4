"""A training goes on from a checkpoint as its config says: what counts, what cannot be resumed."""

import inspect
from collections.abc import Iterator
from typing import Any

import torch
from mmengine.dist import barrier, is_main_process
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner

from sesim_mmagic.engine.checks import check_hooks
from sesim_mmagic.engine.settings_diff import SettingsDiff
from sesim_mmagic.engine.work_dir import check_start_of_ranks, overwrite_training
from sesim_mmagic.registry import unwrapped
from sesim_mmagic.translators.feature_weights import check_features
from sesim_mmagic.utils.checkpoints import last_checkpoint
from sesim_mmagic.utils.weights import WeightsMismatch, adapt_names, differences

_BUFFERS = 'image_buffers.'
# What the learning rate at an iteration follows from.
_SCHEDULE = ('optim_wrapper', 'param_scheduler', 'auto_scale_lr')


class ResumeFromConfig(Hook):
    """On resume the config counts, continued at the iteration that the checkpoint reached.

    :class:`ResumableIterTrainLoop` registers it, and ``tools/train.py`` where a config has another
    loop. MMEngine 0.10.7 takes learning rates, schedules and seeds from the checkpoint without a
    word, starts optimizers anew where their state is missing, and only warns where weights do not
    fit. Here

    * a work directory that holds another training is left alone
      (:func:`~sesim_mmagic.engine.work_dir.check_start_of_ranks`);
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
            runner._load_from = check_start_of_ranks(
                runner.work_dir, runner._resume, runner._load_from
            )

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
        needs_schedule = runner.param_schedulers is not None and had_schedule
        if missing := _missing_parts(checkpoint, needs_schedule):
            weights_alone = 'best and published checkpoints hold weights alone'
            raise _refusal(path, f'it lacks: {", ".join(missing)} ({weights_alone})')
        _check_weights(runner, checkpoint, path)
        check_features(unwrapped(runner.model), checkpoint, path)
        iteration = checkpoint['meta']['iter']
        for line in diff.lines():
            runner.logger.warning(f'Resume at iteration {iteration}: {line}.')
        for problem in _misfits(runner.optim_wrapper, checkpoint['optimizer'], iteration):
            raise _refusal(path, problem)
        counts = [
            {name: len(each) for name, each in _by_name(schedules).items()}
            for schedules in (checkpoint.get('param_schedulers'), runner.param_schedulers)
        ]
        if counts[0] != counts[1] or diff.touches(*_SCHEDULE) or _scales_rates_anew(runner, diff):
            _take_schedule_of_config(runner, checkpoint, path)
        seed = runner._randomness_cfg.get('seed')
        if seed is not None:
            checkpoint['meta']['seed'] = seed


def _missing_parts(checkpoint: dict, needs_schedule: bool) -> list[str]:
    """What a training needs to go on and a checkpoint does not hold."""
    hub = checkpoint.get('message_hub')
    holds = {
        'optimizer': isinstance(checkpoint.get('optimizer'), dict),
        'message_hub': isinstance(hub, dict) and {'log_scalars', 'runtime_info'} <= set(hub),
        'param_schedulers': not needs_schedule
        or isinstance(checkpoint.get('param_schedulers'), dict | list),
        'iteration': {'iter', 'epoch'} <= set(checkpoint.get('meta') or {}),
    }
    return [name for name, is_there in holds.items() if not is_there]


def _refusal(path: str, problem: str) -> ValueError:
    return ValueError(
        f"Checkpoint '{path}' cannot be resumed: {problem}. Resume from another one, an iter_*.pth "
        f"of this config, or leave --resume out and set load_from='{path}': a new training from "
        'these weights.'
    )


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


def _misfits(optim_wrapper: OptimWrapper, saved: dict, iteration: int) -> Iterator[str]:
    """What keeps optimizers from going on with the states that a checkpoint holds."""
    wrappers, states = _by_name(optim_wrapper), _by_name(saved)
    if set(wrappers) != set(states):
        names = [sorted(map(str, each)) for each in (states, wrappers)]
        yield f'it holds the state of the optimizers {names[0]}, the config has {names[1]}'
        return
    for name, wrapper in wrappers.items():
        state, optimizer = states[name], wrapper.optimizer
        sizes = [
            [len(group['params']) for group in groups]
            for groups in (state['param_groups'], optimizer.param_groups)
        ]
        if sizes[0] != sizes[1]:
            yield f"optimizer '{name}' has groups of {sizes[0]} weights, in the config {sizes[1]}"
        needed = _state_names(optimizer)
        if needed and not state['state'] and iteration >= wrapper._accumulative_counts:
            yield f"optimizer '{name}' has no state of the {iteration} iterations before"
        missing = {key for key in needed for kept in state['state'].values() if key not in kept}
        if missing:
            yield (
                f"optimizer '{name}': {type(optimizer).__name__} of the config needs "
                f'{sorted(missing)} of earlier iterations; it was trained with another optimizer'
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


def _by_name(parts: Any) -> dict[str | None, Any]:
    """Optimizers, schedules or their states by names of optimizers; None where there is one."""
    if isinstance(parts, OptimWrapperDict):
        return parts.optim_wrappers
    is_single = not isinstance(parts, dict) or 'param_groups' in parts
    return {None: [] if parts is None else parts} if is_single else parts


def _scales_rates_anew(runner: Runner, diff: SettingsDiff) -> bool:
    """Whether the learning rates follow a batch size that is another one now."""
    scales = (runner.auto_scale_lr or {}).get('enable', False)
    return scales and diff.touches('train_dataloader.batch_size')


def _take_schedule_of_config(runner: Runner, checkpoint: dict, path: str) -> None:
    advance(runner, checkpoint['meta']['iter'], path, checkpoint['meta']['epoch'])
    saved = _by_name(checkpoint['optimizer'])
    optimizers = {}
    for name, wrapper in _by_name(runner.optim_wrapper).items():
        state, now = saved[name], wrapper.state_dict()
        kept = {key: state[key] for key in ('state', 'loss_scaler') if key in state and key in now}
        optimizers[name] = {**now, **kept}
    checkpoint['optimizer'] = optimizers.get(None, optimizers)
    if runner.param_schedulers is not None:
        states = {
            name: [schedule.state_dict() for schedule in schedules]
            for name, schedules in _by_name(runner.param_schedulers).items()
        }
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
