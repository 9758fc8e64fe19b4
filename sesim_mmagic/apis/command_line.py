"""What the command-line tools do alike: arguments, errors in one line, Ctrl+C, SIGTERM.

Only the standard library is imported, so that ``--help`` and mistakes are answered at once; a tool
imports what it works with after it has parsed its arguments.

Exit codes: 2 for what the caller can mend (arguments, configs, inputs; known before the work), 1
for what failed in the middle or is a fault of the program, 130 after Ctrl+C, 143 after SIGTERM.
"""

import argparse
import ctypes
import difflib
import functools
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import Any

from sesim_mmagic.utils.messages import in_one_line

#: Environment variable; with any value, errors show their traceback.
DEBUG = 'SESIM_DEBUG'
#: What the caller can mend. Any other exception is unexpected, i.e. a fault of the program.
USER_ERRORS = (OSError, ValueError, ImportError)
#: Seconds that other ranks leave the first one to say the same error.
_RANK_DELAY = 3
_PR_SET_PDEATHSIG = 1


class CommandError(Exception):
    """An error that a tool tells in one line.

    Args:
        message (str): What is wrong, and what to do.
        code (int): Exit code. Defaults to 2.
    """

    def __init__(self, message: str, code: int = 2) -> None:
        super().__init__(message)
        self.code = code


def command(interrupted: str = '') -> Callable[[Callable], Callable]:
    """Decorate the ``main`` of a tool: errors, Ctrl+C and SIGTERM end it in one line.

    Args:
        interrupted (str): What to do after Ctrl+C, such as ``'the same command goes on'``.

    Returns:
        Callable: Decorator of a function whose result is the exit code or None.

    Raises:
        SystemExit: In place of any exception of the function; with ``SESIM_DEBUG`` set, after
            its traceback.
    """

    def decorate(main: Callable) -> Callable:
        @functools.wraps(main)
        def run(*args, **kwargs):
            if signal.getsignal(signal.SIGINT) is _interrupt_at_once:
                signal.signal(signal.SIGINT, signal.default_int_handler)
            previous = _terminate_by_exception()
            if 'TORCHELASTIC_RUN_ID' in os.environ:
                _end_with_launcher()
            for stream in (sys.stdout, sys.stderr):
                if hasattr(stream, 'reconfigure'):
                    # Names of files may have bytes that the encoding does not know.
                    stream.reconfigure(errors='backslashreplace')
            try:
                return main(*args, **kwargs)
            except KeyboardInterrupt:
                advice = f': {interrupted}' if interrupted else ''
                _say(f'interrupted{advice}', before='\n')
                sys.exit(130)
            except BrokenPipeError:  # who read the output, such as head, has gone
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                sys.exit(141)
            except Exception as error:
                if os.environ.get(DEBUG):
                    traceback.print_exc()
                message, code = describe(error)
                _say(f'error: {message}')
                sys.exit(code)
            finally:
                if previous is not None:
                    signal.signal(signal.SIGTERM, previous)

        return run

    return decorate


def answer_first(parse_args: Callable[[], object]) -> None:
    """Answer ``--help`` and mistakes now; for a script that goes on to import what takes seconds.

    Ctrl+C during these imports ends it in one line too.

    Args:
        parse_args (Callable): Parses the command line; it is parsed again by the work itself.
    """
    parse_args()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored
        signal.signal(signal.SIGINT, _interrupt_at_once)


def describe(error: BaseException) -> tuple[str, int]:
    """The message of an error for a user, and the exit code.

    Args:
        error (BaseException): As it was caught.

    Returns:
        tuple[str, int]: Message, in one line unless this package wrote it, and exit code.
    """
    if isinstance(error, CommandError):
        return str(error), error.code
    module, place = _origin(error)
    own = module.startswith(('sesim_mmagic.', '__main__', 'tool'))
    message = str(error) if own else in_one_line(error)
    if isinstance(error, USER_ERRORS):
        return message, 2
    return f'unexpected {type(error).__name__} in {place}: {message} ({DEBUG}=1 shows more)', 1


def nearest(name: str, names: Iterable[str], cutoff: float = 0.6) -> str:
    """End of a message: ``': did you mean X?'`` for the nearest of some names, or nothing.

    ``cutoff`` is the least similarity, from 0 to 1.
    """
    matches = difflib.get_close_matches(name, list(names), n=1, cutoff=cutoff)
    return f': did you mean {matches[0]}?' if matches else ''


def create_parser(description: str) -> argparse.ArgumentParser:
    """Create a parser with the arguments that training and testing share in MMagic.

    Args:
        description (str): What the tool does.

    Returns:
        argparse.ArgumentParser: Parser without positional arguments.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('--work-dir', help='folder for logs and checkpoints')
    add_cfg_options(parser)
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='what started the ranks of a distributed job',
    )
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='remove what an earlier run of this kind wrote into the work directory',
    )
    parser.add_argument(
        '--skip-broken',
        action='store_true',
        help='leave out pictures that cannot be used, instead of refusing to begin',
    )
    add_max_image_pixels(parser)
    # torch's launchers pass one spelling or the other.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    return parser


def add_out(parser: argparse.ArgumentParser, **options: Any) -> None:
    """Add ``--out`` and the ``--overwrite`` of :func:`check_out`; ``options`` as argparse's."""
    parser.add_argument('--out', **options)
    parser.add_argument('--overwrite', action='store_true', help='replace --out if it exists')


def check_out(path: str | Path | None, overwrite: bool) -> None:
    """Raise ``FileExistsError``, before the work, for a file that nobody said may be replaced."""
    if path and not overwrite and Path(path).exists():
        raise FileExistsError(
            f"'{path}' exists: replace it by --overwrite, or choose another name for --out."
        )


def add_max_image_pixels(parser: argparse.ArgumentParser) -> None:
    """Add ``--max-image-pixels N``; None where it is not given."""
    parser.add_argument(
        '--max-image-pixels',
        type=whole_number(1),
        metavar='N',
        help='most pixels of a picture that is read (default: 178956970, the limit of Pillow); '
        'a picture takes several times 3 bytes a pixel of memory',
    )


def whole_number(least: int) -> Callable[[str], int]:
    """Type of argparse for whole numbers from ``least``, 0 or more, on."""

    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or int(text) < least:
            raise argparse.ArgumentTypeError(
                f"a whole number of at least {least} is expected, got '{text}'"
            )
        return int(text)

    return read


def option_pairs(text: str) -> str:
    """Type of argparse for ``KEY=VALUE``; values are read by :func:`read_options`."""
    if not text.partition('=')[0] or '=' not in text:
        raise argparse.ArgumentTypeError(f"settings are written KEY=VALUE, got '{text}'")
    return text


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options KEY=VALUE ...``, whose values are a list of strings."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action='extend',
        type=option_pairs,
        default=[],
        metavar='KEY=VALUE',
        help='override settings of the config, for example model.buffer_size=0; lists are '
        'written key="[a,b]" or key=a,b, tuples in lists key="[(a,b),(c,d)]", both without '
        'blanks',
    )


def read_options(pairs: list[str]) -> dict[str, object]:
    """Values of ``--cfg-options``, ``KEY=VALUE`` each, by dotted key, as MMEngine reads them."""
    from mmengine.config import DictAction

    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='*', action=DictAction, default={})
    return parser.parse_args(['--cfg-options', *pairs]).cfg_options


def _interrupt_at_once(number: int, frame: FrameType | None) -> None:
    _say('interrupted', before='\n')
    os._exit(130)


def _terminate_by_exception() -> Any:
    """Let SIGTERM unwind the stack, so that temporary files go; the handler that was there.

    None where there is nothing to put back: only the main thread may set handlers.
    """

    def terminate(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    try:
        return signal.signal(signal.SIGTERM, terminate)
    except ValueError:
        return None


def _end_with_launcher() -> None:
    """Let Linux kill this rank when its launcher is gone, which, killed, cannot end its ranks.

    They would train on, beside those of the next start in the same work directory.
    """
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _origin(error: BaseException) -> tuple[str, str]:
    """Module that raised an error, and its file and line."""
    last = None
    for last in traceback.walk_tb(error.__traceback__):  # noqa: B007  the last one is meant
        pass
    if last is None:
        return '', 'an unknown place'
    frame, line = last
    return frame.f_globals.get('__name__', ''), f'{Path(frame.f_code.co_filename).name}:{line}'


def _say(message: str, before: str = '') -> None:
    """One line on standard error. Ranks share most errors: the first says them.

    A launcher ends the other ranks once one has failed; those that are still there after some
    seconds had an error of their own.
    """
    rank = int(os.environ.get('RANK', os.environ.get('SLURM_PROCID', 0)))
    name = Path(sys.argv[0]).name
    if rank > 0:
        time.sleep(_RANK_DELAY)
        name = f'{name} (rank {rank})'
    print(f'{before}{name}: {message}', file=sys.stderr, flush=True)
