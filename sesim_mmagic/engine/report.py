"""HTML pages of scores, curves and pictures that need no server (``report.html.jinja``)."""

import base64
import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader
from mmengine.runner import Runner

from sesim_mmagic.engine.curves import draw_curves
from sesim_mmagic.utils.files import write_atomically
from sesim_mmagic.utils.images import check_picture
from sesim_mmagic.utils.names import printable

PAGE = 'report.html'
# Pictures are this package's own, or were read already.
_ANY_SIZE = 2**62


def write_report(
    path: str | Path,
    title: str,
    columns: Sequence[str],
    rows: Iterable[tuple[str, Sequence]],
    tables: Iterable[tuple[str, Sequence[str], Iterable[Sequence]]] = (),
    note: str = '',
) -> None:
    """Write an HTML page of pictures in columns below tables of scores.

    The page needs no script, server or network. It refers to pictures by their path relative to
    its own folder, which may be moved or packed as a whole. The file appears once it is complete.

    Args:
        path (str | Path): The page to write.
        title (str): Heading.
        columns (Sequence[str]): Names of the columns of pictures, for example
            ``('input', 'translation', 'truth')``.
        rows (Iterable[tuple[str, Sequence]]): A name and, for each column, the path of a picture
            in the folder of the page or below it, or None for an empty cell.
        tables (Iterable[tuple[str, Sequence[str], Sequence[Sequence]]]): Caption, header and
            lines of each table. Numbers that are not whole are shown with three decimals.
        note (str): Text below the heading.

    Raises:
        ValueError: A row has another number of pictures than there are columns, or a picture
            lies outside the folder of the page.
        FileNotFoundError: A picture does not exist.
    """
    sections = [_table(*table) for table in tables]
    _write_page(path, title, [*sections, _pictures(Path(path).parent, columns, rows)], note)


def write_results_page(folder: str | Path, results: dict) -> None:
    """Write the results of a training and its tests as ``report.html`` into a work directory.

    Args:
        folder (str | Path): Work directory.
        results (dict): As :class:`~sesim_mmagic.engine.hooks.results.ResultsHook` keeps them.
    """
    validation = results.get('validation', {})
    sections = [
        *_tests(folder, results.get('tests', [])),
        *_best(results.get('best', [])),
        *_validation_curves(validation, results),
        *_losses(results.get('losses')),
        *_training(results.get('training')),
        *_validation_table(validation),
    ]
    note = [f'sesim_mmagic {results["sesim_mmagic"]}']
    if 'seed' in results:
        note.append(f'seed {results["seed"]}')
    if 'training' in results:
        training = results['training']
        note.append(f'{training["iterations"]} of {training["max_iterations"]} iterations')
    _write_page(Path(folder, PAGE), results['config'], sections, ', '.join(note))


def run_name(runner: Runner) -> str:
    """The name of the config file, or MMEngine's experiment name where there is none."""
    filename = runner.cfg.filename
    return Path(filename).stem if filename else runner.experiment_name


def page_failure(page: str | Path, error: Exception) -> str:
    """A line that says that a page could not be written; nothing but the page is lost by that."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return printable(f"The page '{page}' could not be written: {reason}")


def _write_page(path: str | Path, title: str, sections: list[dict], note: str) -> None:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True
    )
    environment.filters['number'] = _number
    template = environment.get_template('report.html.jinja')
    page = template.render(title=title, sections=sections, note=note)
    write_atomically(path, printable(page))


def _number(value: Any) -> str:
    if value is None:
        return '\u2013'
    if not isinstance(value, float):  # NumPy's float64 is one
        return str(value)
    return f'{value:.2e}' if 0 < abs(value) < 0.001 else f'{value:.3f}'


def _address(path: str | Path) -> str:
    """A path as the address of a link; its bytes count, whatever the encoding of the name."""
    return quote(os.fsencode(path))


def _table(caption: str, header: Sequence[str], lines: Iterable[Sequence]) -> dict:
    return dict(caption=caption, header=header, lines=list(lines))


def _pictures(folder: str | Path, columns: Sequence[str], rows: Iterable) -> dict:
    shown = []
    for name, pictures in rows:
        if len(pictures) != len(columns):
            raise ValueError(
                f"Row '{name}' has {len(pictures)} pictures for {len(columns)} "
                f'columns {tuple(columns)}; use None for an empty cell.'
            )
        shown.append((name, [path and _picture(folder, name, path) for path in pictures]))
    return dict(columns=columns, rows=shown)


def _picture(folder: str | Path, name: str, path: str | Path) -> dict:
    relative = Path(os.path.relpath(path, folder)).as_posix()
    if relative.startswith('../'):
        raise ValueError(
            f"Picture '{path}' lies outside '{folder}', the folder of the page: "
            'copy it there, so that the folder can be moved.'
        )
    width, height = check_picture(path, max_pixels=_ANY_SIZE)
    return dict(address=_address(relative), width=width, height=height)


def _curves(caption: str, panels: dict[str, dict]) -> dict:
    return dict(caption=caption, svg=base64.b64encode(draw_curves(panels).encode()).decode())


def _tests(folder: str | Path, tests: list[dict]) -> Iterator[dict]:
    """Scores of every tested checkpoint, a column each; pictures of the last test."""
    if not tests:
        return
    names = [test['checkpoint'] or f'weights of iteration {test["iteration"]}' for test in tests]
    lines = [
        ('pictures', *(f'{test["split"]} ({test["pictures"]})' for test in tests)),
        ('iteration', *(test['iteration'] for test in tests)),
        *((key, *(test['metrics'].get(key) for test in tests)) for key in _score_names(tests)),
    ]
    yield _table('Test', ('', *names), lines)
    examples = tests[-1].get('examples', dict(columns=(), rows=()))
    # Somebody may have removed pictures since.
    rows = [
        (name, [path and Path(folder, path) for path in paths])
        for name, paths in examples['rows']
        if all(path is None or Path(folder, path).is_file() for path in paths)
    ]
    if rows:
        yield _pictures(folder, examples['columns'], rows)
    # A later test writes to the same page.
    pages = {test['page']: name for test, name in zip(tests, names, strict=True) if 'page' in test}
    links = [(f'Pictures of the test of {name}', _address(page)) for page, name in pages.items()]
    yield dict(links=links)


def _best(best: list[dict]) -> Iterator[dict]:
    if best:
        header = ('by validation score', 'better is', 'value', 'iteration', 'checkpoint')
        keys = ('key', 'rule', 'value', 'iteration', 'checkpoint')
        yield _table('Best checkpoint', header, ([entry[key] for key in keys] for entry in best))


def _validation_curves(validation: dict, results: dict) -> Iterator[dict]:
    """Curves of the scores, with the best checkpoint and the tests."""
    history = validation.get('history', [])
    panels = {}
    for key in _score_names(history):
        best = [entry for entry in results.get('best', []) if entry['key'] == key]
        panels[key] = {
            validation['split']: [(v['iteration'], v['metrics'].get(key)) for v in history],
            'best checkpoint': [(entry['iteration'], entry['value']) for entry in best],
            'test': [(t['iteration'], t['metrics'].get(key)) for t in results.get('tests', [])],
        }
    if panels:
        yield _curves(_validation_caption(validation), panels)


def _losses(losses: dict | None) -> Iterator[dict]:
    if losses:
        yield _curves('Losses by iteration', {name: {'': curve} for name, curve in losses.items()})


def _training(training: dict | None) -> Iterator[dict]:
    if training is None:
        return
    step = training['seconds_per_iteration']
    lines = [
        ('iterations', training['iterations']),
        ('ranks', training['ranks']),
        ('time', str(timedelta(seconds=round(training['seconds'])))),
        ('time of an iteration, median', None if step is None else f'{1000 * step:.0f} ms'),
        (f'peak memory, {training["memory_of"]}', f'{training["peak_memory_mb"]:.0f} MB'),
    ]
    yield _table('Training', (), lines)


def _validation_table(validation: dict) -> Iterator[dict]:
    history = validation.get('history', [])
    if keys := _score_names(history):
        caption = f'{_validation_caption(validation)}, in numbers'
        lines = [
            (entry['iteration'], *(entry['metrics'].get(key) for key in keys)) for entry in history
        ]
        yield _table(caption, ('iteration', *keys), lines)


def _validation_caption(validation: dict) -> str:
    return f'Validation on {validation["split"]}, {validation["pictures"]} pictures'


def _score_names(entries: list[dict]) -> list[str]:
    """Names of all scores in the order of their appearance; some entries may lack some."""
    return list(dict.fromkeys(key for entry in entries for key in entry['metrics']))
