"""Curves of a training as one SVG picture: a panel for each quantity."""

import io
from typing import Any

from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.figure import Figure

from sesim_mmagic.utils.names import printable

_SETTINGS: dict[Any, Any] = {
    'svg.fonttype': 'none',  # text stays text, in the font of the page
    'svg.hashsalt': 'curves',  # equal curves give equal files
    'font.size': 9,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.grid': True,
    'grid.color': '#e6e6e6',
    'axes.titlesize': 10,
}
#: A curve, rings around some of its points, and points beside it.
_STYLES: tuple[dict[str, Any], ...] = (
    dict(color='#2a6f97'),
    dict(ls='', marker='o', ms=11, mfc='none', mec='#f4a261', mew=2),
    dict(ls='', marker='D', ms=5, color='#c1121f'),
)


def draw_curves(panels: dict[str, dict[str, list]]) -> str:
    """Draw panels, three in a row.

    Args:
        panels (dict[str, dict[str, list]]): By the name of the quantity, up to three lists of
            points (iteration, value): a curve, points of it to put a ring around, and points
            beside it. Their names are for the legend; '' for none. Points without an iteration or
            a value (None) are left out.

    Returns:
        str: An SVG document.
    """
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    handles: dict[str, Artist] = {}
    with rc_context(_SETTINGS):
        # No pyplot: a figure of its own leaves the state of a training process alone. Fixed
        # margins in inches: matplotlib's own layouts take two and a half times as long.
        width, height = 3.8 * columns, 2.3 * rows + 0.3
        sides = dict(left=0.55 / width, right=1 - 0.15 / width)
        ends = dict(bottom=0.3 / height, top=1 - 0.65 / height)
        grid = dict(wspace=0.23, hspace=0.4, **sides, **ends)
        figure = Figure(figsize=(width, height))
        axes = figure.subplots(rows, columns, squeeze=False, gridspec_kw=grid).ravel()
        for axis, (title, lists) in zip(axes, panels.items(), strict=False):
            axis.set_title(printable(title), loc='left', parse_math=False)
            for style, (name, points) in zip(_STYLES, lists.items(), strict=False):
                points = [point for point in points if None not in point]
                if points:
                    marker = '.' if len(points) < 60 else ''
                    lines = axis.plot(*zip(*points, strict=True), **{'marker': marker, **style})
                    handles.setdefault(name, lines[0])
        for axis in axes:
            axis.axison = bool(axis.lines)  # scales without a point would mean nothing
        handles.pop('', None)
        if handles:
            names = list(handles)
            figure.legend(handles.values(), names, loc='upper left', ncols=3, frameon=False)
        svg = io.StringIO()
        figure.savefig(svg, format='svg', metadata=dict(Date=None))
    return svg.getvalue()
