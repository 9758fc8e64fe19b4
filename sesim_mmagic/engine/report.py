"""HTML pages of scores, curves and pictures that need no server (``report.html.jinja``)."""

import os
from collections.abc import Iterable, Sequence
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
    _write(path, title, [*sections, _pictures(Path(path).parent, columns, rows)], note)


def write_results_page(folder: str | Path, results: dict) -> None:
    """Write the results of a training and its tests as ``report.html`` into a work directory.

    Args:
        folder (str | Path): Work directory.
        results (dict): As :class:`~sesim_mmagic.engine.hooks.results.ResultsHook` keeps them.
    """
    note = f'sesim_mmagic {results["sesim_mmagic"]}'
    if 'seed' in results:
        note += f', seed {results["seed"]}'
    if training := results.get('training', {}):
        note += ', {iterations} of {max_iterations} iterations'.format_map(training)
    sections = [*_tests(Path(folder), results.get('tests', [])), *_training(results)]
    _write(Path(folder, PAGE), results['config'], sections, note)


def run_name(runner: Runner) -> str:
    """The name of the config file, or MMEngine's experiment name where there is none."""
    filename = runner.cfg.filename
    return Path(filename).stem if filename else runner.experiment_name


def page_failure(page: str | Path, error: Exception) -> str:
    """A line that says that a page could not be written; nothing but the page is lost by that."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return printable(f"The page '{page}' could not be written: {reason}")


def _write(path: str | Path, title: str, sections: list[dict], note: str) -> None:
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=loader, autoescape=True, trim_blocks=True)
    # The bytes of a name count, whatever its encoding.
    environment.filters.update(number=_number, address=lambda path: quote(os.fsencode(path)))
    template = environment.get_template('report.html.jinja')
    write_atomically(path, printable(template.render(title=title, sections=sections, note=note)))


def _number(value: Any) -> str:
    if value is None:
        return '\u2013'
    if not isinstance(value, float):  # NumPy's float64 is one
        return str(value)
    return f'{value:.2e}' if 0 < abs(value) < 0.001 else f'{value:.3f}'


def _table(caption: str, header: Sequence[str], lines: Iterable[Sequence]) -> dict:
    return dict(caption=caption, header=header, lines=list(lines))


def _pictures(folder: Path, columns: Sequence[str], rows: Iterable) -> dict:
    """Rows of pictures: of each its path in the folder, its width and its height."""
    shown = []
    for name, paths in rows:
        if len(paths) != len(columns):
            raise ValueError(
                f"Row '{name}' has {len(paths)} pictures for {len(columns)} "
                f'columns {tuple(columns)}; use None for an empty cell.'
            )
        shown.append((name, [path and _picture(folder, path) for path in paths]))
    return dict(columns=columns, rows=shown)


def _picture(folder: Path, path: str | Path) -> tuple[str, int, int]:
    inside = Path(os.path.relpath(path, folder)).as_posix()
    if inside.startswith('../'):
        raise ValueError(
            f"Picture '{path}' lies outside '{folder}', the folder of the page: "
            'copy it there, so that the folder can be moved.'
        )
    # Pictures are this package's own, or were read already: they may have any size.
    return inside, *check_picture(path, max_pixels=2**62)


def _tests(folder: Path, tests: list[dict]) -> list[dict]:
    """Scores of every tested checkpoint, a column each; pictures of the last test."""
    if not tests:
        return []
    names = [test['checkpoint'] or f'weights of iteration {test["iteration"]}' for test in tests]
    lines = [
        ('pictures', *(f'{test["split"]} ({test["pictures"]})' for test in tests)),
        ('iteration', *(test['iteration'] for test in tests)),
        *((key, *(test['metrics'].get(key) for test in tests)) for key in _scores(tests)),
    ]
    sections = [_table('Test', ('', *names), lines)]
    examples = tests[-1].get('examples', dict(columns=(), rows=()))
    rows = [(name, [path and folder / path for path in paths]) for name, paths in examples['rows']]
    # Somebody may have removed pictures since.
    rows = [row for row in rows if all(path is None or path.is_file() for path in row[1])]
    if rows:
        sections.append(_pictures(folder, examples['columns'], rows))
    # A later test writes to the same page.
    pages = {test['page']: name for test, name in zip(tests, names, strict=True) if 'page' in test}
    links = [(f'Pictures of the test of {name}', page) for page, name in pages.items()]
    return [*sections, dict(links=links)]


def _training(results: dict) -> list[dict]:
    """Best checkpoints, curves of scores and losses, time and memory, scores in numbers."""
    best, validation = results.get('best', []), results.get('validation', {})
    sections, history = [], validation.get('history', [])
    if best:
        keys = ('key', 'rule', 'value', 'iteration', 'checkpoint')
        header = ('by validation score', 'better is', *keys[2:])
        sections.append(_table('Best checkpoint', header, [[b[key] for key in keys] for b in best]))
    if scores := _scores(history):
        about = 'Validation on {split}, {pictures} pictures'.format_map(validation)
        panels = {
            key: {
                validation['split']: [(v['iteration'], v['metrics'].get(key)) for v in history],
                'best checkpoint': [(b['iteration'], b['value']) for b in best if b['key'] == key],
                'test': [(t['iteration'], t['metrics'].get(key)) for t in results.get('tests', [])],
            }
            for key in scores
        }
        sections.append(dict(caption=about, svg=draw_curves(panels)))
    if losses := results.get('losses'):
        panels = {name: {'': curve} for name, curve in losses.items()}
        sections.append(dict(caption='Losses by iteration', svg=draw_curves(panels)))
    if training := results.get('training'):
        step = training['seconds_per_iteration']
        lines = [
            *((key, training[key]) for key in ('iterations', 'ranks')),
            ('time', str(timedelta(seconds=round(training['seconds'])))),
            ('time of an iteration, median', None if step is None else f'{1000 * step:.0f} ms'),
            (f'peak memory, {training["memory_of"]}', f'{training["peak_memory_mb"]:.0f} MB'),
        ]
        sections.append(_table('Training', (), lines))
    if scores:
        lines = [(v['iteration'], *(v['metrics'].get(key) for key in scores)) for v in history]
        sections.append(_table(f'{about}, in numbers', ('iteration', *scores), lines))
    return sections


def _scores(entries: list[dict]) -> list[str]:
    """Names of all scores in the order of their appearance; some entries may lack some."""
    return list(dict.fromkeys(key for entry in entries for key in entry['metrics']))
