"""Texts of errors, short enough for one line."""

from collections.abc import Sequence

#: Longest message of other packages; messages of this one are never cut.
_LONGEST = 600
_SHOWN = 5


def in_one_line(error: BaseException, longest: int = _LONGEST) -> str:
    """The message of any exception in one line of bounded length.

    Torch's refusal of a pickle advises to switch the safety off; that advice is replaced.

    Args:
        error (BaseException): Any exception.
        longest (int): Most characters before the message is cut. Defaults to 600.

    Returns:
        str: Never empty.
    """
    if isinstance(error, KeyError) and len(error.args) == 1:
        error = error.args[0]  # its text is the representation of its argument
    text = str(error)
    if 'Original Traceback' in text:  # of a data loading worker; its last line is the message
        text = text.strip().splitlines()[-1].partition(': ')[2] or text
    message = ' '.join(text.split()) or type(error).__name__
    if 'weights_only' in message:
        return (
            'a checkpoint holds something other than tensors and plain data, and is not loaded, '
            'because such a file can run code'
        )
    return cut(message, longest)


def cut(text: str, longest: int) -> str:
    """A text, with dots in the place of what is too long."""
    return text if len(text) <= longest else f'{text[:longest]} ...'


def first_lines(lines: Sequence[str]) -> str:
    """The first few of several lines in one."""
    more = [f'and {len(lines) - _SHOWN} more'] if len(lines) > _SHOWN else []
    return '; '.join([*lines[:_SHOWN], *more])
