"""Translated pictures of a test as PNG files and one HTML page."""

from pathlib import Path

from mmengine.dist import gather_object, is_main_process
from mmengine.hooks import Hook

from sesim_mmagic.engine.hooks.common import run_name, source_domain
from sesim_mmagic.engine.html_report import write_report
from sesim_mmagic.engine.pictures import to_picture, write_picture
from sesim_mmagic.engine.weights import unwrapped
from sesim_mmagic.registry import HOOKS

_FAKE, _FAKES = 'fake_', 'fakes_'
_EXAMPLES = 4


@HOOKS.register_module()
class SaveTranslationsHook(Hook):
    """Save every translation of a test, named after its source, and a page that shows them.

    In ``out_dir`` appear ``translations/<target domain>/<name of the source>.png``,
    ``inputs/<source domain>/...``, ``truths/<target domain>/...`` where the test set is paired,
    and ``index.html`` (input | translation | truth, below the metrics). Where a model gives
    several translations of a source (``fakes_<target>``), the others are in
    ``translations_2/<target domain>/...`` and so on, and stand beside the first on the page. Each
    rank writes its own pictures, rank 0 the page.

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

    def __init__(self, out_dir=None, title=None, paired=None, max_rows=200, validations=False):
        self.out_dir = out_dir
        self.title = title
        self.paired = paired
        self.max_rows = max_rows
        self.validations = validations

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        """Save the translations of one batch, if those of validations are wanted.

        Raises:
            ValueError: As after an iteration of a test.
        """
        if self.validations:
            folder = Path(runner.work_dir, 'validations', str(runner.iter))
            for sample, source, target in _translations(runner, outputs):
                name = f'{_source_path(sample, source).stem}.png'
                write_picture(folder / target / name, to_picture(sample.get(f'{_FAKE}{target}')))

    def before_test(self, runner):
        """Forget the pictures of an earlier test."""
        self._folder = Path(self.out_dir or Path(runner.work_dir, 'test'))
        self._rows = {}
        #: After a test, on rank 0: ``columns`` and the first few ``rows`` of the page.
        self.examples = None

    def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        """Save the pictures of one batch.

        Raises:
            ValueError: A sample lacks a translation or the path of its source, or two sources
                have the same name.
        """
        for sample, source, target in _translations(runner, outputs):
            self._save(sample, source, target)

    def after_test_epoch(self, runner, metrics=None):
        """Collect the rows of all ranks and write the page."""
        gathered = gather_object(self._rows, dst=0)
        if not is_main_process():
            return
        rows = _merge(gathered)
        if not rows:
            runner.logger.warning(
                "No picture was translated. MMagic's MultiTestLoop reads the test set for its "
                "metrics only: without any, use test_cfg=dict(type='TestLoop')."
            )
            return
        page = self._folder / 'index.html'
        self._write_page(page, self.title or run_name(runner), rows, metrics or {})
        runner.logger.info(f'{len(rows)} translations saved, shown by {page.resolve()}')

    def _write_page(self, page, title, rows, metrics):
        # Without any truth the column would be empty.
        found = {role: None for row in rows.values() for role in row if role != 'path'}
        roles = sorted(found, key=lambda role: (role != 'input', role == 'truth'))
        several_targets = len({target for target, _ in rows}) > 1
        shown = [
            (
                f'{name} ({target})' if several_targets else name,
                [rows[target, name].get(role) for role in roles],
            )
            for target, name in sorted(rows)[: self.max_rows]
        ]
        self.examples = dict(columns=roles, rows=shown[:_EXAMPLES])
        write_report(
            page,
            title,
            roles,
            shown,
            note=f'{len(shown)} of {len(rows)} translations.',
            tables=[('Metrics', ('metric', 'value'), metrics.items())] if metrics else (),
        )

    def _save(self, sample, source, target):
        path = _source_path(sample, source)
        key, row = (target, path.stem), dict(path=str(path))
        _refuse_duplicate(self._rows, key, row)
        if key in self._rows:  # the metrics of MMagic may ask for a sample more than once
            return
        pictures = dict(
            input=(f'inputs/{source}', sample.get(f'img_{source}')),
            translation=(f'translations/{target}', sample.get(f'{_FAKE}{target}')),
            truth=(f'truths/{target}', self._truth(sample, path, target)),
        )
        for number, other in enumerate(sample.get(f'{_FAKES}{target}', ())[1:], start=2):
            pictures[f'translation {number}'] = (f'translations_{number}/{target}', other)
        for role, (folder, picture) in pictures.items():
            if picture is not None:
                row[role] = str(self._folder / folder / f'{path.stem}.png')
                write_picture(row[role], to_picture(picture))
        self._rows[key] = row

    def _truth(self, sample, path, target):
        paired = self.paired
        if paired is None:
            paired = Path(sample.get(f'img_{target}_path') or '').stem == path.stem
        return sample.get(f'img_{target}') if paired else None


def _translations(runner, samples):
    """Each sample with the source and the target of each of its translations."""
    for sample in samples:
        targets = [k[len(_FAKE) :] for k in sample.keys() if k.startswith(_FAKE)]
        if not targets:
            raise ValueError(
                f'A sample holds no fake_<domain>, only {sample.keys()}: SaveTranslationsHook '
                'needs a translation model.'
            )
        for target in targets:
            yield sample, source_domain(unwrapped(runner.model), target), target


def _source_path(sample, source):
    path = sample.get(f'img_{source}_path')
    if path is None:
        raise ValueError(
            f"A test sample has no 'img_{source}_path', its source has no name: list "
            f"'img_{source}_path' in meta_keys of PackInputs."
        )
    return Path(path)


def _refuse_duplicate(rows, key, row):
    if key in rows and rows[key]['path'] != row['path']:
        raise ValueError(
            f"'{rows[key]['path']}' and '{row['path']}' have the same name: their "
            f"translations would both be '{key[1]}.png'. Rename one."
        )


def _merge(gathered):
    merged = {}
    for rows in gathered:
        for key, row in rows.items():
            _refuse_duplicate(merged, key, row)
            merged[key] = row
    return merged
