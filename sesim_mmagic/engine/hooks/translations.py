"""Translated pictures of a test as PNG files and one HTML page."""

from pathlib import Path
from typing import Any

from mmengine.dist import barrier, gather_object, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner
from torch import Tensor

from sesim_mmagic.engine.pictures import to_picture, write_picture
from sesim_mmagic.engine.report import page_failure, run_name, write_report
from sesim_mmagic.engine.sources import SourceNames, each_translation, parts_of, source_path
from sesim_mmagic.engine.work_dir import TEST, check_test, overwrite_test
from sesim_mmagic.registry import HOOKS
from sesim_mmagic.utils.names import printable

_EXAMPLES, _MOST_ROWS = 4, 200


@HOOKS.register_module()
class SaveTranslationsHook(Hook):
    """Save every translation of a test, named after its source, and a page that shows them.

    In ``test`` of the work directory appear ``translations/<target domain>/<name of the
    source>.png``, ``inputs/<source domain>/...``, ``truths/<target domain>/...`` where the data set
    holds pairs (its attribute ``paired`` is true, or a file shows both pictures), and
    ``index.html`` (input | translation | truth, below the metrics). Names keep the folders below
    the folder of the test set (see :class:`~sesim_mmagic.engine.sources.SourceNames`). Where a
    model gives several translations of a source (``fakes_<target>``), the others are in
    ``translations_2/<target domain>/...`` and so on, and stand beside the first on the page. Each
    rank writes its own pictures, rank 0 the page. What cannot be written, a picture or the page, is
    told in a warning: scores do not depend on it.

    Samples need ``fake_<target>`` and ``img_<source>`` (tensors (3, H, W), BGR, [0, 255]) and the
    meta information ``img_<source>_path``; list it in ``meta_keys`` of ``PackInputs``.

    Args:
        validations (bool): Whether the translations of every validation are saved as well, as
            ``validations/<iteration>/<target domain>/...`` in the work directory: how they came
            about. Defaults to False.
    """

    priority = 'LOW'
    #: Whether the pictures of an earlier test may go, see :meth:`before_test`.
    overwrite = False

    def __init__(self, validations: bool = False) -> None:
        self.validations = validations
        self._trained = False
        #: After a test, on rank 0: ``columns`` and the first few ``rows`` of the page.
        self.examples: dict | None = None

    def before_train(self, runner: Runner) -> None:
        """Note that a test to come is one of this training."""
        self._trained = True

    def before_val_epoch(self, runner: Runner) -> None:
        """Find the names of the pictures."""
        self._begin(runner.val_loop)

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Save the translations of one batch, if those of validations are wanted.

        Raises:
            ValueError: As after an iteration of a test.
        """
        if self.validations:
            folder = Path(runner.work_dir, 'validations', str(runner.iter))
            for sample, source, target in each_translation(runner, outputs):
                name = f'{self._names.of(source_path(sample, source))}.png'
                self._write(folder / target / name, sample.get(f'fake_{target}'))

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Tell of pictures that could not be saved."""
        _tell(runner, self._failures)

    def before_test(self, runner: Runner) -> None:
        """Look for the pictures of an earlier test: they must not mix with those of this one.

        A test that follows a training in one run replaces those of the same work directory, and
        so does one that is to overwrite.

        Raises:
            ValueError: There are some, and nobody said that they may go.
        """
        self._folder = Path(runner.work_dir, TEST)
        if not (self._trained or self.overwrite):
            check_test(self._folder)
        elif is_main_process():
            overwrite_test(self._folder)
        barrier()  # no rank writes before all have looked
        self._rows: dict[tuple[str, str], dict[str, str]] = {}
        self.examples = None

    def before_test_epoch(self, runner: Runner) -> None:
        """Find the names of the pictures."""
        self._begin(runner.test_loop)

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Save the pictures of one batch.

        Raises:
            ValueError: A sample lacks a translation or the path of its source.
        """
        for sample, source, target in each_translation(runner, outputs):
            self._save(sample, source, target)

    def after_test_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Collect the rows of all ranks and write the page."""
        gathered = gather_object((self._rows, self._failures), dst=0)
        if not is_main_process():
            return
        rows = {key: row for rows, _ in gathered for key, row in rows.items()}
        if not rows:
            runner.logger.warning(
                "No picture was translated. MMagic's MultiTestLoop reads the test set for its "
                "metrics only: without any, use test_cfg=dict(type='TestLoop')."
            )
            return
        _tell(runner, [failure for _, failures in gathered for failure in failures])
        page = self._folder / 'index.html'
        try:
            self._write_page(page, run_name(runner), rows, metrics or {})
        except Exception as error:  # whatever a page meets, the scores come first
            runner.logger.warning(page_failure(page, error))
            return
        saved = sum('translation' in row for row in rows.values())
        runner.logger.info(printable(f'{saved} translations saved, shown by {page.resolve()}'))

    def _begin(self, loop: BaseLoop) -> None:
        self._names = SourceNames(loader.dataset for loader, _ in parts_of(loop))
        self._failures: list[str] = []

    def _write_page(self, page: Path, title: str, rows: dict, metrics: dict) -> None:
        # Without any truth the column would be empty.
        roles = list(dict.fromkeys(role for row in rows.values() for role in row))
        roles.sort(key=lambda role: (role != 'input', role == 'truth'))
        several_targets = len({target for target, _ in rows}) > 1
        shown = []
        for target, name in sorted(rows)[:_MOST_ROWS]:
            label = f'{name} ({target})' if several_targets else name
            shown.append((label, [rows[target, name].get(role) for role in roles]))
        tables = [('Metrics', ('metric', 'value'), metrics.items())] if metrics else ()
        note = f'{len(shown)} of {len(rows)} translations.'
        write_report(page, title, roles, shown, tables, note)
        self.examples = dict(columns=roles, rows=shown[:_EXAMPLES])

    def _save(self, sample: Any, source: str, target: str) -> None:
        path = source_path(sample, source)
        name = self._names.of(path)
        if (target, name) in self._rows:  # a test may ask for a sample more than once
            return
        pictures = {
            'input': (f'inputs/{source}', sample.get(f'img_{source}')),
            'translation': (f'translations/{target}', sample.get(f'fake_{target}')),
        }
        partner = sample.get(f'img_{target}_path')
        if partner is not None and self._names.are_pair(path, str(partner)):
            pictures['truth'] = (f'truths/{target}', sample.get(f'img_{target}'))
        for number, other in enumerate(sample.get(f'fakes_{target}', ())[1:], start=2):
            pictures[f'translation {number}'] = (f'translations_{number}/{target}', other)
        row = self._rows[target, name] = {}
        for role, (folder, picture) in pictures.items():
            file = self._folder / folder / f'{name}.png'
            if picture is not None and self._write(file, picture):
                row[role] = str(file)

    def _write(self, file: Path, image: Tensor) -> bool:
        """Write a picture, or note why that failed; return whether it is there."""
        try:
            write_picture(file, to_picture(image))
            return True
        except OSError as error:
            self._failures.append(str(error))
            return False


def _tell(runner: Runner, failures: list[str]) -> None:
    if failures:
        count, first = len(failures), printable(failures[0])
        runner.logger.warning(f'{count} pictures could not be saved, the first: {first}')
