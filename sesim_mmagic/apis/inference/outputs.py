"""Where translations go: a folder that a later run goes on with, or the memory."""

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from sesim_mmagic.apis.inference.inputs import Input
from sesim_mmagic.engine.pictures import write_picture
from sesim_mmagic.utils.files import write_atomically
from sesim_mmagic.utils.shapes import misfit

RECORD = 'translations.jsonl'
FAILED = 'failed.json'
_LINE = {'output': str, 'source': list}


class OutputFolder:
    """A folder of translations, PNG and MP4 files, that an interrupted run can be resumed in.

    ``translations.jsonl`` notes in its first line what made the translations, and then, before
    anything of an input is written, which input that is. As files appear only when they are
    complete, what is noted and exists is done. ``failed.json`` lists inputs that could not be
    translated, with the reason.

    Args:
        folder (str | Path): The folder; made if it is missing.
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
        folder: str | Path,
        made_by: dict[str, Any],
        styles: int | None = None,
        overwrite: bool = False,
    ) -> None:
        self.folder = Path(folder)
        self.styles = styles
        self.overwrite = overwrite
        self.failures: dict[Input, str] = {}
        self._record = self.folder / RECORD
        self._noted: dict[str, list] = {}
        self._made_by = made_by
        if self.folder.exists() and not self.folder.is_dir():
            raise NotADirectoryError(f"'{folder}' is a file: choose a folder for translations.")
        if self._record.is_file():
            try:
                self._noted = _read_record(self._record, made_by)
            except ValueError:
                if not overwrite:
                    raise

    def files(self, one: Input) -> list[Path]:
        """The files of an input's translations, one for each style."""
        return [self.folder / name for name in self._names(one)]

    def remaining(self, inputs: Iterable[Input]) -> list[Input]:
        """The inputs that are not translated yet; from now on the folder has its record.

        Raises:
            OSError: The folder cannot be written to.
            ValueError: A translation would overwrite its source, or a file of something else.
        """
        remaining = [one for one in inputs if not self._is_done(one)]
        lines = [self._made_by, *(dict(output=k, source=v) for k, v in self._noted.items())]
        # Written anew: a killed run may have left half a line.
        write_atomically(self._record, ''.join(json.dumps(line) + '\n' for line in lines))
        (self.folder / FAILED).unlink(missing_ok=True)
        return remaining

    def begin(self, one: Input) -> None:
        """Note an input that is about to be translated, and remove what is out of date."""
        for file in self.files(one):
            file.unlink(missing_ok=True)
        line = dict(output=self._names(one)[0], source=one.fingerprint())
        with self._record.open('a') as record:
            record.write(json.dumps(line) + '\n')
            record.flush()
            os.fsync(record.fileno())

    def put(self, one: Input, style: int, picture: np.ndarray) -> None:
        """Write a picture, (H, W, 3) or with alpha (H, W, 4), BGR, uint8.

        Raises:
            OSError: It cannot be written; nothing is left of it.
        """
        write_picture(self.files(one)[style], picture)

    def fail(self, one: Input, reason: str) -> None:
        """Note an input that cannot be translated."""
        self.failures[one] = reason
        failed = [dict(source=str(one), reason=why) for one, why in self.failures.items()]
        write_atomically(self.folder / FAILED, json.dumps(failed, indent=2) + '\n')

    def pictures(self, inputs: Sequence[Input]) -> list:
        """None is kept."""
        return []

    def _names(self, one: Input) -> list[str]:
        suffix = '.mp4' if one.is_video else '.png'
        ends = [''] if self.styles is None else [f'_{i + 1}' for i in range(self.styles)]
        return [PurePath(one.name.parent, one.name.name + end + suffix).as_posix() for end in ends]

    def _is_done(self, one: Input) -> bool:
        if one.problem is not None:
            return False
        existing = [file for file in self.files(one) if file.is_file()]
        for file in existing:
            if isinstance(one.content, Path) and one.content.exists():
                if file.samefile(one.content):
                    raise ValueError(
                        f"'{one}' would be overwritten by its translation. Choose another output "
                        'folder.'
                    )
        if not existing or self.overwrite:
            return False
        noted = self._noted.get(self._names(one)[0])
        source = one.fingerprint()
        if noted is None or noted[0] != source[0]:
            of = 'is no translation of this model' if noted is None else f"is of '{noted[0]}'"
            raise ValueError(
                f"'{existing[0]}' is where the translation of '{one}' would go, but it {of}: "
                'overwrite it (--overwrite), or choose another output folder.'
            )
        return noted == source and len(existing) == len(self.files(one))


def _read_record(path: Path, made_by: dict[str, Any]) -> dict[str, list]:
    """Which source each output was made of, if all were made alike."""
    first, *others = path.read_text(errors='replace').splitlines() or ['']
    noted, found = {}, _line(first)
    if not isinstance(found, dict):
        raise _no_record(path, 'its first line should be a mapping of what made the translations')
    other = [k for k in {**made_by, **found} if made_by.get(k) != found.get(k)]
    if other:
        raise ValueError(
            f"'{path.parent}' holds translations that were made otherwise "
            f'({", ".join(other)}): overwrite them (--overwrite), or choose another output folder.'
        )
    for number, text in enumerate(others, start=2):
        line = _line(text)
        if line is None:
            continue  # half a line of a killed run
        problem = misfit(line, _LINE)
        if problem or len(line['source']) < 2:
            raise _no_record(path, f'line {number}: {problem or "source should have two parts"}')
        noted[line['output']] = line['source']
    return noted


def _line(text: str) -> Any:
    """What a line of JSON holds; None where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _no_record(path: Path, problem: str) -> ValueError:
    return ValueError(
        f"'{path}' is no record of translations ({problem}): move it away, overwrite the "
        'translations (--overwrite), or choose another output folder.'
    )


class OutputArrays:
    """Translations that stay in memory.

    Args:
        styles (int, optional): As for :class:`OutputFolder`.
    """

    def __init__(self, styles: int | None = None) -> None:
        self.styles = styles
        self.failures: dict[Input, str] = {}
        self._pictures: dict[Input, list[np.ndarray]] = {}

    def files(self, one: Input) -> list[Path]:
        """There are none."""
        return []

    def remaining(self, inputs: Iterable[Input]) -> list[Input]:
        """All inputs.

        Raises:
            ValueError: There is a video, which is not to be held in memory.
        """
        inputs = list(inputs)
        for one in inputs:
            if one.is_video:
                raise ValueError(f"The translation of video '{one}' needs an out_dir to go to.")
        return inputs

    def begin(self, one: Input) -> None:
        """Forget what there is of an input."""
        self._pictures[one] = []

    def put(self, one: Input, style: int, picture: np.ndarray) -> None:
        """Keep a picture."""
        self._pictures[one].append(picture)

    def fail(self, one: Input, reason: str) -> None:
        """Note an input that cannot be translated."""
        self.failures[one] = reason

    def pictures(self, inputs: Sequence[Input]) -> list:
        """For each input its picture, a list of them if there are styles, None if it failed."""
        found = []
        for one in inputs:
            kept = None if one in self.failures else self._pictures[one]
            found.append(kept[0] if kept and self.styles is None else kept)
        return found
