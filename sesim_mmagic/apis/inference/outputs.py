"""Where translations go: a folder that a later run goes on with, or the memory."""

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from sesim_mmagic.apis.inference.inputs import Input
from sesim_mmagic.engine.pictures import write_picture
from sesim_mmagic.utils.files import write_atomically
from sesim_mmagic.utils.shapes import misfit

_ADVICE = 'overwrite it (--overwrite), or choose another output folder'


class Outputs:
    """Translations in a folder, PNG and MP4 files, or in memory.

    An interrupted run can be resumed in its folder: ``translations.jsonl`` notes in its first line
    what made the translations, and then, before anything of an input is written, which file that
    is. As files appear only when they are complete, what is noted and exists is done.
    ``failed.json`` lists inputs that could not be translated, with the reason.

    Args:
        folder (str | Path | None): The folder, made if it is missing; None for the memory.
        made_by (dict): What shapes translations, such as the model; JSON values by name.
        styles (int, optional): Number of styles that each input is translated into. Defaults to
            None: one translation, whose name has no number.
        overwrite (bool): Whether translations that are there are made again. Defaults to False.

    Raises:
        NotADirectoryError: The folder is a file.
        ValueError: It holds translations that something else made, or ``translations.jsonl`` is
            no such record.
    """

    def __init__(
        self,
        folder: str | Path | None,
        made_by: dict[str, Any],
        styles: int | None = None,
        overwrite: bool = False,
    ) -> None:
        self.folder = folder = None if folder is None else Path(folder)
        self.styles, self.overwrite = styles, overwrite
        self.failures: dict[Input, str] = {}
        self._pictures: dict[Input, list[np.ndarray]] = {}
        self._made_by, self._sources = made_by, {}
        if folder is None:
            return
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(f"'{folder}' is a file: choose a folder for translations.")
        self._record = folder / 'translations.jsonl'
        if self._record.is_file():
            try:
                self._sources = _read_record(self._record, made_by)
            except ValueError:
                if not overwrite:
                    raise

    def files(self, item: Input) -> list[Path]:
        """The files of an input's translations, one for each style."""
        return [] if self.folder is None else [self.folder / name for name in self._names(item)]

    def remaining(self, inputs: Iterable[Input]) -> list[Input]:
        """The inputs that are not translated yet; from now on the folder has its record.

        Raises:
            OSError: The folder cannot be written to.
            ValueError: A translation would overwrite its source, or a file of something else; or a
                video is to be held in memory.
        """
        if self.folder is None:
            for item in inputs:
                if item.is_video:
                    raise ValueError(f"The translation of '{item}' needs an out_dir to go to.")
            return list(inputs)
        remaining = [item for item in inputs if not self._is_done(item)]
        lines = [self._made_by, *(dict(output=k, source=v) for k, v in self._sources.items())]
        # Written anew: a killed run may have left half a line.
        write_atomically(self._record, ''.join(json.dumps(line) + '\n' for line in lines))
        (self.folder / 'failed.json').unlink(missing_ok=True)
        return remaining

    def begin(self, item: Input) -> None:
        """Note an input that is about to be translated, and remove what is out of date."""
        self._pictures[item] = []
        if self.folder is None:
            return
        for file in self.files(item):
            file.unlink(missing_ok=True)
        line = dict(output=self._names(item)[0], source=_state(item))
        with self._record.open('a') as record:
            record.write(json.dumps(line) + '\n')
            record.flush()
            os.fsync(record.fileno())

    def put(self, item: Input, style: int, picture: np.ndarray) -> None:
        """Take a picture, (H, W, 3) or with alpha (H, W, 4), BGR, uint8.

        Raises:
            OSError: It cannot be written; nothing is left of it.
        """
        if self.folder is None:
            self._pictures[item].append(picture)
        else:
            write_picture(self.files(item)[style], picture)

    def fail(self, item: Input, reason: str) -> None:
        """Note an input that cannot be translated."""
        self.failures[item] = reason
        if self.folder is not None:
            failed = [dict(source=str(key), reason=why) for key, why in self.failures.items()]
            write_atomically(self.folder / 'failed.json', json.dumps(failed, indent=2) + '\n')

    def prediction(self, item: Input, is_new: bool) -> dict[str, Any]:
        """What became of an input, see ``SeSimInferencer``."""
        reason = self.failures.get(item)
        status = 'skipped' if not is_new else 'failed' if reason else 'translated'
        files = [] if reason else [str(file) for file in self.files(item)]
        return dict(source=str(item), status=status, outputs=files, reason=reason)

    def arrays(self, item: Input) -> np.ndarray | list[np.ndarray] | None:
        """The translation in memory, a list of them if there are styles, None of a failure."""
        kept = None if item in self.failures else self._pictures[item]
        return kept[0] if kept and self.styles is None else kept

    def _names(self, item: Input) -> list[str]:
        suffix = '.mp4' if item.is_video else '.png'
        ends = [''] if self.styles is None else [f'_{i + 1}' for i in range(self.styles)]
        name = item.name
        return [PurePath(name.parent, name.name + end + suffix).as_posix() for end in ends]

    def _is_done(self, item: Input) -> bool:
        existing = [file for file in self.files(item) if file.is_file()]
        source = _state(item)
        for file in existing:
            if source[1:] != [None, None] and file.samefile(source[0]):
                raise ValueError(
                    f"'{item}' would be overwritten by its translation. Choose another output "
                    'folder.'
                )
        if not existing or self.overwrite:
            return False
        noted = self._sources.get(self._names(item)[0])
        if not noted or noted[0] != source[0]:
            of = f"is of '{noted[0]}'" if noted else 'is no translation of this model'
            raise ValueError(
                f"'{existing[0]}' is where the translation of '{item}' would go, but it {of}: "
                f'{_ADVICE}.'
            )
        return noted == source != [source[0], None, None] and len(existing) == (self.styles or 1)


def _state(item: Input) -> list:
    """Place, size and time of change of a file; None for what is unknown, and of arrays."""
    if isinstance(item.content, Path):
        with suppress(OSError, ValueError):  # reading it will tell what is wrong
            status = item.content.stat()
            return [os.path.abspath(item.content), status.st_size, status.st_mtime_ns]
    return [str(item), None, None]


def _read_record(path: Path, made_by: dict[str, Any]) -> dict[str, list]:
    """Which source each output was made of, if all were made alike."""
    lines = []
    for text in path.read_text(errors='replace').splitlines():
        try:
            lines.append(json.loads(text))
        except (ValueError, RecursionError):  # half a line of a killed run
            lines.append(None)
    if not lines or not isinstance(lines[0], dict):
        raise ValueError(
            f"'{path}' is no record of translations, its first line should be a mapping of what "
            f'made them: move it away, {_ADVICE}.'
        )
    made = lines[0]
    other = [key for key in {**made_by, **made} if made_by.get(key) != made.get(key)]
    if other:
        raise ValueError(
            f"'{path.parent}' holds translations that were made otherwise ({', '.join(other)}): "
            f'{_ADVICE}.'
        )
    noted = [line for line in lines[1:] if not misfit(line, dict(output=str, source=list))]
    return {line['output']: line['source'] for line in noted}
