"""Test pictures of several trainings side by side."""

from pathlib import Path


def write_grid(path, runs, domains, scenes=4):
    """Write a figure: a row a test scene, columns input, translation of every run, truth.

    Args:
        path (Path): PNG to write.
        runs (dict[str, dict[str, str]]): For each dataset the work directories by title; the same
            titles in every dataset.
        domains (dict[str, tuple[str, str]]): Source and target domain of each dataset.
        scenes (int): Rows of each dataset. Defaults to 4.
    """
    import io

    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    from sesim_mmagic.utils.files import write_atomically

    titles = ['input', *next(iter(runs.values())), 'truth']
    rows = [row for dataset in runs for row in _rows(runs[dataset], domains[dataset], scenes)]
    side = 1.25
    figure, axes = pyplot.subplots(
        len(rows), len(titles), figsize=(side * len(titles), side * len(rows) + 0.4), squeeze=False
    )
    for line, paths in zip(axes, rows, strict=True):
        for axis, picture in zip(line, paths, strict=True):
            axis.imshow(pyplot.imread(picture), interpolation='nearest')
            axis.set_axis_off()
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title.replace(' ', '\n', 1), fontsize=8)
    figure.tight_layout(pad=0.2)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=100)
    pyplot.close(figure)
    write_atomically(path, buffer.getvalue())


def _rows(work_dirs, domains, scenes):
    source, target = domains
    tests = [Path(work_dir, 'test') for work_dir in work_dirs.values()]
    names = sorted(p.name for p in (tests[0] / 'translations' / target).glob('*.png'))
    if not names:
        raise FileNotFoundError(f'{tests[0]}/translations/{target} holds no pictures')
    return [
        [
            tests[0] / 'inputs' / source / name,
            *(test / 'translations' / target / name for test in tests),
            tests[0] / 'truths' / target / name,
        ]
        for name in names[:: max(1, len(names) // scenes)][:scenes]
    ]
