"""Translated pictures of a test as PNG files and one HTML page."""

from pathlib import Path

from mmengine.dist import barrier, gather_object, is_main_process
from mmengine.hooks import Hook

from sesim_mmagic.engine.hooks.common import run_name
from sesim_mmagic.engine.pictures import to_picture, write_picture
from sesim_mmagic.engine.report import page_failure, write_report
from sesim_mmagic.engine.source_names import SourceNames
from sesim_mmagic.engine.weights import translator_of
from sesim_mmagic.engine.work_dir import check_test, overwrite_test
from sesim_mmagic.registry import HOOKS
from sesim_mmagic.utils.names import printable
from sesim_mmagic.utils.samples import has_repeated

_FAKE, _FAKES = 'fake_', 'fakes_'
_EXAMPLES = 4


@HOOKS.register_module()
class SaveTranslationsHook(Hook):
    """Save every translation of a test, named after its source, and a page that shows them.

    In ``out_dir`` appear ``translations/<target domain>/<name of the source>.png``,
    ``inputs/<source domain>/...``, ``truths/<target domain>/...`` where the test set is paired,
    and ``index.html`` (input | translation | truth, below the metrics). Names keep the folders
    below the folder of the test set (see :class:`~sesim_mmagic.engine.source_names.SourceNames`).
    Where a model gives several translations of a source (``fakes_<target>``), the others are in
    ``translations_2/<target domain>/...`` and so on, and stand beside the first on the page. Each
    rank writes its own pictures, rank 0 the page. What cannot be written, a picture or the page,
    is told in a warning: scores do not depend on it.

    Samples need ``fake_<target>`` and ``img_<source>`` (tensors (3, H, W), BGR, [0, 255]) and the
    meta information ``img_<source>_path``; list it in ``meta_keys`` of ``PackInputs``.

    Args:
        out_dir (str | None): Folder to write to; by default ``test`` in the work directory.
        title (str | None): Heading of the page; the name of the config file by default.
        paired (bool | None): Whether ``img_<target>`` is the truth of the translation. By default
            it is where source and target have the same file name.
        max_rows (int): Most rows on the page; all pictures are saved.
        validations (bool): Whether the translations of every validation are saved as well, as
            ``validations/<iteration>/<target domain>/...`` in the work directory: how they came
            about. Defaults to False.
    """

    priority = 'LOW'
    #: Whether the pictures of an earlier test may go, see :meth:`before_test`.
    overwrite = False

    def __init__(self, out_dir=None, title=None, paired=None, max_rows=200, validations=False):
        self.out_dir = out_dir
        self.title = title
        self.paired = paired
        self.max_rows = max_rows
        self.validations = validations
        self._trained = False

    def before_val_epoch(self, runner):
        """Find the names of the pictures."""
        if self.validations:
            self._failures = []
            self._names = SourceNames(_datasets(runner.val_loop))

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        """Save the translations of one batch, if those of validations are wanted.

        Raises:
            ValueError: As after an iteration of a test.
        """
        if self.validations:
            folder = Path(runner.work_dir, 'validations', str(runner.iter))
            for sample, source, target in each_translation(runner, outputs):
                name = f'{self._names.of(_source_path(sample, source))}.png'
                self._write(folder / target / name, sample.get(f'{_FAKE}{target}'))

    def after_val_epoch(self, runner, metrics=None):
        """Tell of pictures that could not be saved."""
        if self.validations:
            _tell(runner, self._failures)

    def before_train(self, runner):
        """Note that a test to come is one of this training."""
        self._trained = True

    def before_test(self, runner):
        """Look for the pictures of an earlier test: they must not mix with those of this one.

        A test that follows a training in one run replaces those of the same work directory, and
        so does one that is to overwrite.

        Raises:
            ValueError: There are some, and nobody said that they may go.
        """
        self._folder = Path(self.out_dir or Path(runner.work_dir, 'test'))
        if not (self._trained or self.overwrite):
            check_test(self._folder)
        elif is_main_process():
            overwrite_test(self._folder)
        barrier()  # no rank writes before all have looked
        self._rows = {}
        self._failures = []
        #: After a test, on rank 0: ``columns`` and the first few ``rows`` of the page.
        self.examples = None

    def before_test_epoch(self, runner):
        """Find the names of the pictures."""
        self._names = SourceNames(_datasets(runner.test_loop))

    def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        """Save the pictures of one batch.

        Raises:
            ValueError: A sample lacks a translation or the path of its source.
        """
        for sample, source, target in each_translation(runner, outputs):
            self._save(sample, source, target)

    def after_test_epoch(self, runner, metrics=None):
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
            self._write_page(page, self.title or run_name(runner), rows, metrics or {})
        except Exception as error:  # whatever a page meets, the scores come first
            runner.logger.warning(page_failure(page, error))
            return
        saved = sum('translation' in row for row in rows.values())
        runner.logger.info(printable(f'{saved} translations saved, shown by {page.resolve()}'))

    def _write_page(self, page, title, rows, metrics):
        # Without any truth the column would be empty.
        found = {role: None for row in rows.values() for role in row}
        roles = sorted(found, key=lambda role: (role != 'input', role == 'truth'))
        several_targets = len({target for target, _ in rows}) > 1
        shown = [
            (
                f'{name} ({target})' if several_targets else name,
                [rows[target, name].get(role) for role in roles],
            )
            for target, name in sorted(rows)[: self.max_rows]
        ]
        write_report(
            page,
            title,
            roles,
            shown,
            note=f'{len(shown)} of {len(rows)} translations.',
            tables=[('Metrics', ('metric', 'value'), metrics.items())] if metrics else (),
        )
        self.examples = dict(columns=roles, rows=shown[:_EXAMPLES])

    def _save(self, sample, source, target):
        path = _source_path(sample, source)
        name, row = self._names.of(path), {}
        if (target, name) in self._rows:  # a test may ask for a sample more than once
            return
        pictures = dict(
            input=(f'inputs/{source}', sample.get(f'img_{source}')),
            translation=(f'translations/{target}', sample.get(f'{_FAKE}{target}')),
            truth=(f'truths/{target}', self._truth(sample, path, target)),
        )
        for number, other in enumerate(sample.get(f'{_FAKES}{target}', ())[1:], start=2):
            pictures[f'translation {number}'] = (f'translations_{number}/{target}', other)
        for role, (folder, picture) in pictures.items():
            if picture is None:
                continue
            file = self._folder / folder / f'{name}.png'
            if self._write(file, picture):
                row[role] = str(file)
        self._rows[target, name] = row

    def _write(self, file, image):
        """Write a picture, or note why that failed; return whether it is there."""
        try:
            write_picture(file, to_picture(image))
            return True
        except OSError as error:
            self._failures.append(str(error))
            return False

    def _truth(self, sample, path, target):
        paired = self.paired
        if paired is None:
            partner = sample.get(f'img_{target}_path')
            paired = partner is not None and self._names.are_partners(path, str(partner))
        return sample.get(f'img_{target}') if paired else None


def _datasets(loop):
    """The data sets of a loop; MMagic's loops for several keep a list of loaders."""
    loaders = getattr(loop, 'dataloaders', None) or [loop.dataloader]
    return [loader.dataset for loader in loaders]


def each_translation(runner, samples):
    """Each sample with the source and the target of each of its translations.

    A picture that an earlier sample has too was translated there, not again.
    """
    domains = translator_of(runner.model).domains
    for sample in samples:
        targets = [k[len(_FAKE) :] for k in sample.keys() if k.startswith(_FAKE)]
        if not targets and not has_repeated(sample):
            raise ValueError(
                f'A sample holds no fake_<domain>, only {sample.keys()}: SaveTranslationsHook '
                'needs a translation model.'
            )
        for target in targets:
            yield sample, domains[target], target


def _tell(runner, failures):
    if failures:
        count, first = len(failures), printable(failures[0])
        runner.logger.warning(f'{count} pictures could not be saved, the first: {first}')


def _source_path(sample, source):
    path = sample.get(f'img_{source}_path')
    if path is None:
        raise ValueError(
            f"A test sample has no 'img_{source}_path', its source has no name: list "
            f"'img_{source}_path' in meta_keys of PackInputs."
        )
    return str(path)
