"""Where translations go: a folder that a later run goes on with, or the memory."""

import errno
import json
import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import print_log

from sesim_mmagic.apis.inference.ahead import ahead
from sesim_mmagic.apis.inference.inputs import Input, Read
from sesim_mmagic.engine.pictures import write_picture
from sesim_mmagic.utils.files import write_atomically
from sesim_mmagic.utils.listing import FAILURES, RECORD
from sesim_mmagic.utils.shapes import misfit

# The place of one translation is taken or its path too long: nothing else is wrong with the disk.
_ONE_PLACE = (errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG)
_ADVICE = 'overwrite it (--overwrite), or choose another output folder'


class Outputs:
    """Translations in a folder, PNG and MP4 files, or in memory.

    An interrupted run can be resumed in its folder: ``translations.json`` says what makes the
    translations and of which source each is. It is written before the first of them, when all that
    are out of date are gone. As files appear only when they are complete, what is noted and exists
    is done. ``failed.json`` lists inputs that could not be translated, with the reason.

    Args:
        folder (str | Path | None): The folder, made if it is missing; None for the memory.
        inputs (Sequence[Input]): What is to be translated.
        made_by (dict): What shapes translations, such as the model; JSON values by name.
        styles (int, optional): Number of styles that each input is translated into. Defaults to
            None: one translation, whose name has no number.
        overwrite (bool): Whether translations that are there are made again; those that something
            else made are removed first, for the folder would hold both. Defaults to False.

    Attributes:
        remaining (list[Input]): What is not translated yet, and can be.

    Raises:
        OSError: The folder cannot be written to.
        ValueError: It holds translations that something else made, ``translations.json`` is no
            such record, a translation would overwrite its source or a file of something else, or a
            video is to be held in memory.
    """

    def __init__(
        self,
        folder: str | Path | None,
        inputs: Sequence[Input],
        made_by: dict[str, Any],
        styles: int | None = None,
        overwrite: bool = False,
    ) -> None:
        self.folder = None if folder is None else Path(folder)
        self.styles = styles
        self.remaining = list(inputs)
        self._arrays: dict[tuple[Input, int], np.ndarray] = {}
        self._failures: dict[Input, str] = {}
        if self.folder is None:
            if videos := [item for item in inputs if item.is_video]:
                raise ValueError(f"The translation of '{videos[0]}' needs an out_dir to go to.")
            return
        if self.folder.exists() and not self.folder.is_dir():
            raise NotADirectoryError(f"'{folder}' is a file: choose a folder for translations.")
        sources, others = self._earlier(made_by, overwrite)
        self.remaining = [item for item in inputs if not self._is_done(item, sources, overwrite)]
        self._remove(others, inputs)
        for item in self.remaining:
            for file in filter(Path.is_file, self.files(item)):
                file.unlink()
            sources[self._key(item)] = _state(item)
        record = dict(made_by=made_by, sources=sources)
        write_atomically(self.folder / RECORD, json.dumps(record, indent=1) + '\n')
        (self.folder / FAILURES).unlink(missing_ok=True)
        self._fail_below_files(inputs)

    def files(self, item: Input) -> list[Path]:
        """The files of an input's translations, one for each style; none in memory."""
        if self.folder is None:
            return []
        suffix = '.mp4' if item.is_video else '.png'
        return [self.folder / f'{item.name}{end}{suffix}' for end in _ends(self.styles)]

    def put(self, item: Input, style: int, picture: np.ndarray) -> None:
        """Take a picture, (H, W, 3) or with alpha (H, W, 4), BGR, uint8.

        Raises:
            OSError: It cannot be written; nothing is left of it.
        """
        if self.folder is None:
            self._arrays[item, style] = picture
        else:
            write_picture(self.files(item)[style], picture)

    def write(
        self, translated: Iterable[tuple[Read, int, np.ndarray]], threads: Executor, count: int
    ) -> None:
        """Take translations as they come, while the next ones are computed.

        Args:
            translated (Iterable): Source, number of the style, translation as of :meth:`put`.
            threads (Executor): Where they are written.
            count (int): How many may wait there.

        Raises:
            OSError: Something is wrong with the disk. What concerns one input is noted.
        """

        def put(translation: tuple[Read, int, np.ndarray]) -> None:
            read, style, picture = translation
            self.put(read.item, style, read.with_alpha(picture))

        for (read, _, _), written in ahead(threads, put, translated, count):
            try:
                written.result()
            except Exception as error:
                reason = reason_of(error, read.picture)
                if reason is None:
                    raise
                self.fail(read.item, reason)

    def fail(self, item: Input, reason: str) -> None:
        """Note an input that cannot be translated."""
        self._failures[item] = reason
        if self.folder is not None:
            failed = [dict(source=str(key), reason=why) for key, why in self._failures.items()]
            write_atomically(self.folder / FAILURES, json.dumps(failed, indent=2) + '\n')

    def predictions(self, inputs: Sequence[Input]) -> list[dict[str, Any]]:
        """What became of some inputs, see ``SeSimInferencer``."""
        new, predictions = set(self.remaining), []
        for item in inputs:
            reason = self._failures.get(item)
            status = 'failed' if reason else 'translated' if item in new else 'skipped'
            files = [] if reason else [str(file) for file in self.files(item)]
            predictions.append(dict(source=str(item), status=status, outputs=files, reason=reason))
        return predictions

    def arrays(self, item: Input) -> np.ndarray | list[np.ndarray] | None:
        """The translation in memory, a list of them if there are styles, None of a failure."""
        if item in self._failures:
            return None
        arrays = [self._arrays[item, style] for style in range(self.styles or 1)]
        return arrays[0] if self.styles is None else arrays

    def _fail_below_files(self, inputs: Sequence[Input]) -> None:
        """Fail inputs whose translations' folder is the file of another input's translation.

        Threads write: without this the first of the two to be written would have the place.
        """
        places = {file: item for item in inputs for file in self.files(item)}
        for item in self.remaining:
            folders = (folder for file in self.files(item) for folder in file.parents)
            if taken := next(filter(places.__contains__, folders), None):
                of = f"which is the translation of '{places[taken]}'"
                self.fail(item, f"its translation would lie in '{taken}', {of}: rename one")
        self.remaining = [item for item in self.remaining if item not in self._failures]

    def _earlier(
        self, made_by: dict[str, Any], overwrite: bool
    ) -> tuple[dict[str, list], list[Path]]:
        """Sources of earlier translations that were made alike, and files that were not."""
        assert self.folder is not None
        try:
            made, sources = _read_record(self.folder / RECORD, made_by)
        except ValueError:
            if not overwrite:
                raise
            return {}, []
        if not (other := [key for key in {**made_by, **made} if made_by.get(key) != made.get(key)]):
            return sources, []
        if not overwrite:
            raise ValueError(
                f"'{self.folder}' holds translations that were made otherwise "
                f'({", ".join(other)}): {_ADVICE}.'
            )
        firsts = [self.folder / key for key in sources]
        for key, first in zip(sources, firsts, strict=True):
            if not first.resolve().is_relative_to(self.folder.resolve()):
                raise ValueError(
                    f"'{self.folder / RECORD}' names '{key}', which lies outside its folder: move "
                    'the record away, or choose another output folder'
                )
        styles = made.get('styles')
        ends = _ends(len(styles) if isinstance(styles, list) else None)
        files = (
            first.with_name(f'{first.stem.removesuffix(ends[0])}{end}{first.suffix}')
            for first in firsts
            for end in ends
        )
        return {}, [file for file in files if file.is_file()]

    def _remove(self, others: Sequence[Path], inputs: Sequence[Input]) -> None:
        """Remove translations that something else made; the folder would hold both."""
        read = {item.content.resolve() for item in inputs if isinstance(item.content, Path)}
        if taken := next((file for file in others if file.resolve() in read), None):
            raise ValueError(
                f"'{taken}' is an input, and a translation that would be removed, for it was made "
                'otherwise. Choose another output folder.'
            )
        for file in others:
            file.unlink()
        if others:
            message = (
                f"'{self.folder}': removed {len(others)} translations that were made otherwise"
            )
            print_log(message, 'current', logging.WARNING)

    def _key(self, item: Input) -> str:
        """The name of an input's first translation, as the record has it."""
        return self.files(item)[0].relative_to(self.folder or '').as_posix()

    def _is_done(self, item: Input, sources: dict[str, list], overwrite: bool) -> bool:
        files = [file for file in self.files(item) if file.is_file()]
        if isinstance(item.content, Path) and any(map(item.content.samefile, files)):
            raise ValueError(
                f"'{item}' would be overwritten by its translation. Choose another output folder."
            )
        if not files or overwrite:
            return False
        state, noted = _state(item), sources.get(self._key(item))
        if not noted or noted[0] != state[0]:
            of = f"is of '{noted[0]}'" if noted else 'is no translation of this model'
            raise ValueError(
                f"'{files[0]}' is where the translation of '{item}' would go, but it {of}: "
                f'{_ADVICE}.'
            )
        # Of an array nobody knows whether it is the same.
        return noted == state and len(state) > 1 and len(files) == (self.styles or 1)


def _ends(styles: int | None) -> list[str]:
    """What the names of an input's translations end in, before the suffix."""
    return [''] if styles is None else [f'_{i + 1}' for i in range(styles)]


def reason_of(error: Exception, picture: np.ndarray | None = None) -> str | None:
    """Why one input cannot be translated; None where the error is not that of one input."""
    if isinstance(error, OSError) and error.errno in _ONE_PLACE:
        return str(error)
    is_memory = isinstance(error, MemoryError | torch.cuda.OutOfMemoryError)
    if picture is None or not (is_memory or "can't allocate memory" in str(error)):
        return None
    height, width = picture.shape[:2]
    return (
        f'{width} x {height} pixels are too many for the memory: lower strip_pixels, or make the '
        f'picture smaller ({str(error).splitlines()[0]})'
    )


def _state(item: Input) -> list:
    """Place, size and time of change of a file; the name alone of an array."""
    if isinstance(item.content, np.ndarray):
        return [str(item)]
    status = item.content.stat()
    return [str(item.content.absolute()), status.st_size, status.st_mtime_ns]


def _read_record(path: Path, made_by: dict[str, Any]) -> tuple[dict[str, Any], dict[str, list]]:
    """What made the translations, and the source of each; as of this run if there are none."""
    try:
        record = json.loads(path.read_bytes())
        problem = misfit(record, dict(made_by=dict, sources={str: list}))
    except FileNotFoundError:
        return made_by, {}
    except ValueError:
        problem = 'it is no JSON'
    if problem:
        raise ValueError(
            f"'{path}' is no record of translations ({problem}): move it away, {_ADVICE}."
        )
    return record['made_by'], record['sources']
