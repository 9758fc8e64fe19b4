"""What fails in a Runner, in one line: what was done, which component, what happened."""

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

from mmengine.config import Config
from mmengine.registry import build_from_cfg
from mmengine.runner import BaseLoop, Runner

from sesim_mmagic.apis.command_line import DEBUG, USER_ERRORS, CommandError, describe
from sesim_mmagic.engine.checks import ScoresMissing
from sesim_mmagic.utils.checkpoints import TrainingStopped
from sesim_mmagic.utils.messages import in_one_line
from sesim_mmagic.utils.weights import WeightsMismatch


@contextmanager
def failures_in_one_line(cfg: Config, doing: str) -> Iterator[SimpleNamespace]:
    """Turn exceptions that no user can read into one line; the log file has the traceback.

    Settings that are wrong show up while the runner builds its parts, or in the first iteration,
    where shapes meet (exit code 2); what fails later failed in the middle of the work (1).

    Args:
        cfg (Config): What the runner is built of.
        doing (str): What is done, for the message.

    Yields:
        SimpleNamespace: Takes the ``runner`` once it is built.

    Raises:
        CommandError: In place of exceptions that are not the user's own.
    """
    stage = SimpleNamespace(runner=None)
    try:
        yield stage
    except Exception as error:
        iteration = 0
        if stage.runner is not None:
            _log_traceback(stage.runner, error)
            # `runner.iter` would build the training loop of a config that is only tested. Without
            # a loop the hub's is that of an earlier run of the same name, i.e. in the same second.
            loop = stage.runner._train_loop
            if isinstance(loop, BaseLoop):
                iteration = stage.runner.message_hub.runtime_info.get('iter', 0)
                # Of a training that was resumed those count that were trained since.
                iteration = iteration if getattr(loop, 'iterations_done', iteration) else 0
        if isinstance(error, WeightsMismatch):  # the model does not know the checkpoint's name
            raise WeightsMismatch(error.model, error.lines, cfg.load_from) from None
        if isinstance(error, (ScoresMissing, TrainingStopped)):
            raise CommandError(str(error), 1) from None
        if isinstance(error, USER_ERRORS) and iteration:
            raise CommandError(describe(error)[0], 1) from error
        if isinstance(error, (*USER_ERRORS, CommandError)):
            raise
        component = _component_of(error)
        place = f'iteration {iteration + 1}' if iteration else doing
        if component:
            place = f'{place}, {component}'
        message = f'{place}: {type(error).__name__}: {in_one_line(error)} ({DEBUG}=1 shows more)'
        raise CommandError(message, code=1 if iteration else 2) from error


def _log_traceback(runner: Runner, error: Exception) -> None:
    record = logging.LogRecord(
        runner.logger.name, logging.ERROR, '', 0, 'The run failed.', None,
        (type(error), error, error.__traceback__),
    )  # fmt: skip
    for handler in runner.logger.handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(record)


def _component_of(error: Exception) -> str:
    """Name of the innermost component that was being built, if one was."""
    configs = [
        frame.f_locals.get('cfg')
        for frame, _ in traceback.walk_tb(error.__traceback__)
        if frame.f_code is build_from_cfg.__code__
    ]
    return str(configs[-1].get('type')) if configs and isinstance(configs[-1], dict) else ''
