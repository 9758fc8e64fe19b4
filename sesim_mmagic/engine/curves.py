"""Curves of a training as one SVG picture: a panel for each quantity."""

import io
from typing import Any

from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.figure import Figure

from sesim_mmagic.utils.names import printable

_COLUMNS = 3
# Of a panel with its margins, and of the legend above all; in inches.
_PANEL, _LEGEND = (3.8, 2.3), 0.3
_SETTINGS: dict[Any, Any] = {
    'svg.fonttype': 'none',  # text stays text, in the font of the page
    'svg.hashsalt': 'curves',  # equal curves give equal files
    'font.family': 'sans-serif',
    'font.size': 9,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.edgecolor': '#888',
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
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    handles: dict[str, Artist] = {}
    with rc_context(_SETTINGS):
        # No pyplot: a figure of its own leaves the state of a training process alone. Fixed
        # margins: matplotlib's own layouts draw everything twice.
        width, height = _PANEL[0] * columns, _PANEL[1] * rows + _LEGEND
        figure = Figure(figsize=(width, height))
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        figure.subplots_adjust(
            left=0.55 / width,
            right=1 - 0.15 / width,
            bottom=0.3 / height,
            top=1 - (0.35 + _LEGEND) / height,
            wspace=0.7 / (_PANEL[0] - 0.7),
            hspace=0.65 / (_PANEL[1] - 0.65),
        )
        for axis, (title, lists) in zip(axes, panels.items(), strict=False):
            axis.set_title(printable(title), loc='left', parse_math=False)
            axis.margins(x=0.03, y=0.12)
            for style, (name, points) in zip(_STYLES, lists.items(), strict=False):
                points = [point for point in points if None not in point]
                marker = '.' if len(points) < 60 else ''
                if points:
                    lines = axis.plot(*zip(*points, strict=True), **{'marker': marker, **style})
                    handles.setdefault(name, lines[0])
        for axis in axes[len(panels) :]:
            axis.set_visible(False)
        handles.pop('', None)
        if handles:
            names = list(handles)
            figure.legend(handles.values(), names, loc='upper left', ncols=3, frameon=False)
        svg = io.StringIO()
        figure.savefig(svg, format='svg', metadata=dict(Date=None))
    return svg.getvalue()
