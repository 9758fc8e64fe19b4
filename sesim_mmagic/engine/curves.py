"""Curves of a training as one SVG picture: a panel for each quantity."""

import io
from dataclasses import dataclass, field

from matplotlib import rc_context
from matplotlib.figure import Figure

from sesim_mmagic.utils.names import printable

_COLUMNS = 3
# In inches: a panel with its margins (left, right, bottom, top), and the legend above all.
_PANEL, _MARGINS, _LEGEND = (3.8, 2.3), (0.55, 0.15, 0.3, 0.35), 0.3
_LINE, _MARK, _RING = '#2a6f97', '#c1121f', '#f4a261'
_SETTINGS = {
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


@dataclass
class Panel:
    """One quantity over the iterations.

    Args:
        title: Name of the quantity.
        line: (iteration, value) of the curve; values may be None where there is none.
        ring: (iteration, value) of points to put a ring around.
        marks: (iteration, value) of points beside the curve.
    """

    title: str
    line: list
    ring: list = field(default_factory=list)
    marks: list = field(default_factory=list)


def draw_curves(panels, labels=None):
    """Draw panels, three in a row.

    Args:
        panels (Sequence[Panel]): At least one.
        labels (dict[str, str] | None): What 'line', 'ring' and 'marks' mean, for the legend;
            None for no legend.

    Returns:
        str: An SVG document.

    Raises:
        ValueError: There is no panel.
    """
    if not panels:
        raise ValueError('there is no panel to draw.')
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    with rc_context(_SETTINGS):
        figure, axes = _grid(rows, columns, legend_height=_LEGEND if labels else 0)
        for axis, panel in zip(axes, panels, strict=False):
            _draw(axis, panel, labels or {})
        for axis in axes[len(panels) :]:
            axis.set_visible(False)
        if labels:
            handles = {
                label: handle
                for axis in axes
                for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
            }
            figure.legend(handles.values(), handles, loc='upper left', ncols=3, frameon=False)
        svg = io.StringIO()
        figure.savefig(svg, format='svg', metadata=dict(Date=None))
    return svg.getvalue()


def _grid(rows, columns, legend_height):
    """A figure of equal axes. Fixed margins: matplotlib's own layouts draw everything twice."""
    width, height = columns * _PANEL[0], rows * _PANEL[1] + legend_height
    left, right, bottom, top = _MARGINS
    inner = _PANEL[0] - left - right, _PANEL[1] - bottom - top
    # No pyplot: a figure of its own leaves the state of a training process alone.
    figure = Figure(figsize=(width, height))
    axes = figure.subplots(
        rows,
        columns,
        squeeze=False,
        gridspec_kw=dict(
            left=left / width,
            right=1 - right / width,
            bottom=bottom / height,
            top=1 - (top + legend_height) / height,
            wspace=(left + right) / inner[0],
            hspace=(bottom + top) / inner[1],
        ),
    )
    return figure, axes.ravel()


def _draw(axis, panel, labels):
    def points(pairs):
        return zip(*((x, y) for x, y in pairs if y is not None), strict=True)

    axis.set_title(printable(panel.title), loc='left', parse_math=False)
    axis.margins(x=0.03, y=0.12)
    for pairs, name, style in (
        (panel.line, 'line', dict(color=_LINE, marker='.' if len(panel.line) < 60 else '')),
        (
            panel.ring,
            'ring',
            dict(ls='', marker='o', ms=11, mfc='none', mec=_RING, mew=2),
        ),
        (panel.marks, 'marks', dict(ls='', marker='D', ms=5, color=_MARK)),
    ):
        if any(y is not None for _, y in pairs):
            axis.plot(*points(pairs), label=labels.get(name), **style)
