"""One line on standard error, whatever ends a tool, and an exit code that says what kind it was."""

import os
import signal
import subprocess
import sys
import time

import pytest

from sesim_mmagic.apis import command_line
from sesim_mmagic.apis.command_line import CommandError


def run(capsys, error, **kwargs):
    """Exit code, and the lines on standard error of a tool that raises an error."""

    @command_line.command(**kwargs)
    def main():
        raise error

    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code, capsys.readouterr().err.splitlines()


@pytest.fixture
def foreign():
    """A function that raises an error from outside the package, as PyTorch does."""
    names = {'__name__': 'torch.somewhere'}
    exec(compile('def fail(error):\n    raise error', '/site-packages/torch/it.py', 'exec'), names)
    return names['fail']


@pytest.mark.parametrize(
    'error, code, message',
    [
        (ValueError('--size must be positive'), 2, '--size must be positive'),
        (FileNotFoundError("'x' does not exist"), 2, "'x' does not exist"),
        (ModuleNotFoundError("No module named 'onnx'"), 2, "No module named 'onnx'"),
        (CommandError('iteration 3 failed', code=1), 1, 'iteration 3 failed'),
        (PermissionError(13, 'Permission denied', '/root/x'), 2, 'Permission denied'),
        (ZeroDivisionError('division by zero'), 1, 'unexpected ZeroDivisionError in test_command'),
        (KeyError('no such key'), 1, "no such key (SESIM_DEBUG=1 shows more)"),
        (AssertionError(), 1, 'AssertionError'),
        (
            ValueError('Caught it in worker 0.\nOriginal Traceback (most recent call last):\n'
                       "  File 'x.py'\nValueError: picture 'a: b.png' is too small\n"),
            2, "error: picture 'a: b.png' is too small",
        ),
    ],
)  # fmt: skip
def test_errors_are_one_line(capsys, error, code, message):
    ended, lines = run(capsys, error)
    assert ended == code and len(lines) == 1
    assert ': error: ' in lines[0] and message in lines[0]


def test_messages_of_other_packages_are_one_line_of_bounded_length(capsys, foreign):
    @command_line.command()
    def main():
        foreign(ValueError('size mismatch:\n\t' + 300 * 'weights\n'))

    with pytest.raises(SystemExit):
        main()
    (line,) = capsys.readouterr().err.splitlines()
    assert 'size mismatch: weights weights' in line and len(line) < 700


def test_nobody_is_advised_to_unpickle(capsys):
    import pickle

    advice = 'Weights only load failed. ... set `weights_only=False` only if you trust it'
    _, lines = run(capsys, pickle.UnpicklingError(advice))
    assert 'can run code' in lines[0] and 'weights_only' not in lines[0]


def test_debugging_shows_the_traceback(capsys, monkeypatch):
    monkeypatch.setenv(command_line.DEBUG, '1')
    code, lines = run(capsys, ValueError('wrong'))
    assert code == 2 and lines[0].startswith('Traceback') and lines[-1].endswith('error: wrong')


def test_what_main_returns_is_returned():
    assert command_line.command()(lambda: 1)() == 1


def test_other_ranks_say_their_own_errors_after_the_first(capsys, monkeypatch):
    monkeypatch.setenv('RANK', '3')
    monkeypatch.setattr(command_line, '_RANK_DELAY', 0.1)
    start = time.monotonic()
    _, lines = run(capsys, ValueError('wrong'))
    assert ' (rank 3): error: wrong' in lines[0] and time.monotonic() - start > 0.1


SCRIPT = """
import os, sys, time
from sesim_mmagic.apis import command_line
from sesim_mmagic.utils.files import write_atomically

@command_line.command('the same command goes on')
def main():
    write_atomically(sys.argv[1], 'half')
    os.fsync = lambda number: (print('writing', flush=True), time.sleep(60))
    write_atomically(sys.argv[1], 'whole')

main()
"""


@pytest.mark.parametrize('number, code', [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_a_tool_in_one_line_and_leave_nothing(tmp_path, number, code):
    argv = [sys.executable, '-c', SCRIPT, str(tmp_path / 'file')]
    process = subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # a shell's jobs may ignore it
    )  # fmt: skip
    assert process.stdout.readline() == 'writing\n'
    os.kill(process.pid, number)
    _, error = process.communicate(timeout=20)
    assert process.returncode == code
    assert [path.name for path in tmp_path.iterdir()] == ['file']
    assert (tmp_path / 'file').read_text() == 'half'
    expected = ['', '-c: interrupted: the same command goes on'] if code == 130 else []
    assert error.splitlines() == expected


@pytest.mark.parametrize('pair', ['resume', '=1'])
def test_options_are_pairs(capsys, pair):
    parser = command_line.create_parser('Train.')
    with pytest.raises(SystemExit):
        parser.parse_args(['--cfg-options', 'a=1', pair])
    assert f"settings are written KEY=VALUE, got '{pair}'" in capsys.readouterr().err


def test_options_are_read_as_mmengine_reads_them():
    parser = command_line.create_parser('Train.')
    args = parser.parse_args(['--cfg-options', 'a.b=-1', 'c=[x,(1,2)]', '--cfg-options', 'd=a=b'])
    expected = {'a.b': -1, 'c': ['x', (1, 2)], 'd': 'a=b'}
    assert command_line.read_options(args.cfg_options) == expected
    assert command_line.read_options([]) == {}
