"""One line that tells how far a training is."""

import sys
import time
from datetime import timedelta

from mmengine.dist import is_main_process
from mmengine.hooks import Hook

from sesim_mmagic.engine.hooks.common import run_name
from sesim_mmagic.registry import HOOKS


@HOOKS.register_module()
class ProgressHook(Hook):
    """Print name, iteration, losses, iterations/s and time left of a training.

    On a terminal the line is redrawn in place; elsewhere (log files, CI) a new line is printed
    every ``interval`` seconds. Only rank 0 prints.

    Args:
        name (str | None): Name of the training; that of the config file by default.
        keys (Sequence[str] | None): Log variables to show; by default those that start with
            ``loss``.
        interval (float): Seconds between two lines where the output is no terminal.
        stream (TextIO | None): Where to print; standard output by default.
    """

    # After the losses were checked, before a checkpoint is written.
    priority = 'LOW'

    _REDRAW_SECONDS = 0.2

    def __init__(self, name=None, keys=None, interval=10.0, stream=None):
        if interval <= 0:
            raise ValueError(f'interval must be a positive number of seconds, got {interval}.')
        self.name = name
        self.keys = keys
        self.interval = interval
        self.stream = stream
        self._width = 0

    def before_train(self, runner):
        """Start the clock."""
        self._begin, self._first_iter = time.monotonic(), runner.iter
        self._shown_at = self._begin

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        """Print a line if one is due."""
        if not is_main_process():
            return
        stream = self.stream or sys.stdout
        now, done = time.monotonic(), runner.iter + 1
        pause = self._REDRAW_SECONDS if stream.isatty() else self.interval
        if now - self._shown_at < pause and done < runner.max_iters:
            return
        self._shown_at = now
        rate = (done - self._first_iter) / max(now - self._begin, 1e-9)
        self._write(stream, self._line(runner, done, rate, outputs or {}))

    def after_train(self, runner):
        """Leave the last line standing."""
        if self._width and is_main_process():
            (self.stream or sys.stdout).write('\n')
            self._width = 0

    def _line(self, runner, done, rate, outputs):
        keys = self.keys or [k for k in outputs if k.startswith('loss')]
        losses = ' '.join(f'{k} {float(outputs[k]):.3f}' for k in keys if k in outputs)
        left = timedelta(seconds=round((runner.max_iters - done) / rate))
        name = self.name or run_name(runner)
        return f'{name}: {done}/{runner.max_iters} | {losses} | {rate:.1f} it/s | {left} left'

    def _write(self, stream, line):
        if stream.isatty():
            # Blanks cover what remains of a longer line before.
            stream.write('\r' + line.ljust(self._width))
            self._width = len(line)
        else:
            stream.write(line + '\n')
        stream.flush()
