"""The results of a training and its tests as a page: scores, the best checkpoint, curves."""

from datetime import timedelta
from pathlib import Path

from sesim_mmagic.engine.curves import Panel, draw_curves
from sesim_mmagic.engine.html_report import figure, link, picture_table, score_table, write_page

PAGE = 'report.html'


def write_results_page(folder, results):
    """Write ``report.html`` into a work directory.

    Args:
        folder (str | Path): Work directory.
        results (dict): As :class:`~sesim_mmagic.engine.hooks.results.ResultsHook` keeps them.
    """
    parts = [
        *_tests(folder, results.get('tests', [])),
        *_best(results.get('best', [])),
        *_validation(results),
        *_losses(results.get('losses', {})),
        *_training(results.get('training')),
        *_validation_table(results.get('validation', {})),
    ]
    note = [f'sesim_mmagic {results["sesim_mmagic"]}']
    if 'seed' in results:
        note.append(f'seed {results["seed"]}')
    if 'training' in results:
        training = results['training']
        note.append(f'{training["iterations"]} of {training["max_iterations"]} iterations')
    write_page(Path(folder, PAGE), results['config'], parts, ', '.join(note))


def _tests(folder, tests):
    """Scores of every tested checkpoint, a column each; pictures of the last test."""
    if not tests:
        return
    names = [test['checkpoint'] or f'weights of iteration {test["iteration"]}' for test in tests]
    yield score_table(
        'Test',
        ('', *names),
        [
            ('pictures', *(f'{test["split"]} ({test["pictures"]})' for test in tests)),
            ('iteration', *(test['iteration'] for test in tests)),
            *(
                (key, *(test['metrics'].get(key) for test in tests))
                for key in _keys(test['metrics'] for test in tests)
            ),
        ],
    )
    yield from _examples(folder, tests[-1])
    pages = {test['page']: name for test, name in zip(tests, names, strict=True) if 'page' in test}
    for page, name in pages.items():  # a later test writes to the same page
        yield link(f'Pictures of the test of {name}', page)


def _examples(folder, test):
    examples = test.get('examples', dict(rows=[]))
    # Somebody may have removed pictures since.
    rows = [
        (name, [path and Path(folder, path) for path in paths])
        for name, paths in examples['rows']
        if all(path is None or Path(folder, path).is_file() for path in paths)
    ]
    if rows:
        yield picture_table(folder, examples['columns'], rows)


def _best(best):
    if best:
        yield score_table(
            'Best checkpoint',
            ('by validation score', 'better is', 'value', 'iteration', 'checkpoint'),
            [[b[k] for k in ('key', 'rule', 'value', 'iteration', 'checkpoint')] for b in best],
        )


def _validation(results):
    """Curves of the scores, with the best checkpoint and the tests."""
    validation = results.get('validation', {})
    history = validation.get('history', [])
    keys = _keys(entry['metrics'] for entry in history)
    if not keys:
        return
    panels = [
        Panel(
            key,
            [(entry['iteration'], entry['metrics'].get(key)) for entry in history],
            ring=[
                (best['iteration'], best['value'])
                for best in results.get('best', [])
                if best['key'] == key and best['iteration'] is not None
            ],
            marks=[
                (test['iteration'], test['metrics'].get(key))
                for test in results.get('tests', [])
                if test['iteration'] is not None
            ],
        )
        for key in keys
    ]
    labels = dict(line=validation['split'], ring='best checkpoint', marks='test')
    yield figure(_validation_caption(validation), draw_curves(panels, labels))


def _losses(losses):
    if losses:
        panels = [Panel(name, curve) for name, curve in losses.items()]
        yield figure('Losses by iteration', draw_curves(panels))


def _training(training):
    if training is None:
        return
    step = training['seconds_per_iteration']
    yield score_table(
        'Training',
        (),
        [
            ('iterations', training['iterations']),
            ('ranks', training['ranks']),
            ('time', str(timedelta(seconds=round(training['seconds'])))),
            ('time of an iteration, median', None if step is None else f'{1000 * step:.0f} ms'),
            (
                f'peak memory, {training["memory_of"]}',
                f'{training["peak_memory_mb"]:.0f} MB',
            ),
        ],
    )


def _validation_table(validation):
    history = validation.get('history', [])
    keys = _keys(entry['metrics'] for entry in history)
    if keys:
        yield score_table(
            f'{_validation_caption(validation)}, in numbers',
            ('iteration', *keys),
            [
                (str(entry['iteration']), *(entry['metrics'].get(key) for key in keys))
                for entry in history
            ],
        )


def _validation_caption(validation):
    return f'Validation on {validation["split"]}, {validation["pictures"]} pictures'


def _keys(metrics):
    """Names of all scores in the order of their appearance; some may lack at times."""
    return list(dict.fromkeys(key for scores in metrics for key in scores))
