import io
import re
from types import SimpleNamespace

import pytest

from sesim_mmagic.engine import ProgressHook
from sesim_mmagic.engine.hooks import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, 'monotonic', lambda: now[0])
    return now


def run(hook, clock, iterations, seconds, max_iters=10, first=0):
    """Train iterations that take the given time and lose less and less."""
    cfg = SimpleNamespace(filename='configs/horse2zebra.py')
    runner = SimpleNamespace(iter=first, max_iters=max_iters, cfg=cfg)
    hook.before_train(runner)
    for i in range(first, iterations):
        clock[0] += seconds
        runner.iter = i
        hook.after_train_iter(runner, i, outputs=dict(loss_gan_g=1 / (i + 1), other=5.0))
    if iterations == max_iters:
        hook.after_train(runner)
    return hook.stream.getvalue()


def test_line_tells_name_iteration_losses_rate_and_time_left(clock):
    out = run(ProgressHook(interval=8, stream=io.StringIO()), clock, 4, 2.0)
    assert out == 'horse2zebra: 4/10 | loss_gan_g 0.250 | 0.5 it/s | 0:00:12 left\n'


def test_lines_keep_their_distance_and_the_last_iteration_has_one(clock):
    out = run(ProgressHook('x', interval=5, stream=io.StringIO()), clock, 10, 2.0)
    assert re.findall(r'(\d+)/10', out) == ['3', '6', '9', '10']


def test_terminal_line_is_redrawn_in_place(clock):
    out = run(ProgressHook('x', stream=Terminal()), clock, 10, 2.0)
    assert out.count('\r') == 10
    assert out.count('\n') == 1 and out.endswith('left\n')


def test_shorter_line_covers_a_longer_one(clock):
    out = run(ProgressHook('x', stream=Terminal()), clock, 10, 7200.0)
    lines = out.rstrip('\n').split('\r')[1:]
    widths = [len(line.rstrip()) for line in lines]
    assert min(widths) < max(widths)
    assert all(len(line) >= width for line, width in zip(lines[1:], widths[:-1], strict=True))


def test_rate_of_a_resumed_training_counts_new_iterations(clock):
    out = run(ProgressHook('x', interval=1, stream=io.StringIO()), clock, 10, 2.0, first=8)
    assert '0.5 it/s' in out.splitlines()[0] and '0:00:02 left' in out.splitlines()[0]


def test_keys_choose_what_is_shown(clock):
    out = run(ProgressHook('x', keys=['other'], interval=1, stream=io.StringIO()), clock, 1, 2.0)
    assert 'other 5.000' in out and 'loss' not in out


def test_interval_must_be_positive():
    with pytest.raises(ValueError, match='interval'):
        ProgressHook(interval=0)
