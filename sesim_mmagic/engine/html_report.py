"""Pages of scores, curves and pictures side by side, without a server."""

import base64
import html
import os
from pathlib import Path
from urllib.parse import quote

from sesim_mmagic.utils.files import write_atomically
from sesim_mmagic.utils.images import check_picture
from sesim_mmagic.utils.names import printable

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem;
       padding: 0 1rem; color: #222; background: #fff; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
p.note { color: #555; }
div.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .5rem 0 1.5rem; }
th, td { padding: .25rem .75rem; text-align: left; border-bottom: 1px solid #ddd; }
table.scores td + td, table.scores th + th { text-align: right; white-space: nowrap;
       font-variant-numeric: tabular-nums; }
table.pictures { table-layout: fixed; }
table.pictures th, table.pictures td { padding: .25rem; }
table.pictures img { display: block; width: 100%; height: auto; }
table.pictures img.small { image-rendering: pixelated; }
img.figure { display: block; max-width: 100%; height: auto; }
td.name { color: #555; font-size: .85rem; overflow-wrap: anywhere; }
"""
# In rem: columns share what the page has beside the names; where they would become too narrow to
# see anything, it scrolls sideways. A click shows the picture alone, in full.
_NAME_WIDTH, _PICTURES_WIDTH = 6, 64
_WIDEST_PICTURE, _NARROWEST_PICTURE = 16, 6
# Narrower pictures are enlarged on the page, and their pixels are to stay visible.
_SMALL = 200
# Pictures are our own, or were read already.
_ANY_SIZE = 2**62


def write_report(path, title, columns, rows, tables=(), note=''):
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
    path = Path(path)
    parts = [score_table(*table) for table in tables]
    write_page(path, title, [*parts, picture_table(path.parent, columns, rows)], note)


def write_page(path, title, parts, note=''):
    """Write an HTML page; the file appears once it is complete.

    Args:
        path (str | Path): The page to write.
        title (str): Heading.
        parts (Iterable[str]): HTML of :func:`score_table`, :func:`picture_table`, :func:`figure`
            and :func:`link`.
        note (str): Text below the heading.
    """
    parts = list(parts)
    if note:
        parts.insert(0, f'<p class="note">{_escaped(note)}</p>')
    body = '\n'.join([f'<h1>{_escaped(title)}</h1>', *parts])
    write_atomically(
        path,
        (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f'<title>{_escaped(title)}</title>\n<style>{_STYLE}</style>\n</head>\n'
            f'<body>\n{body}\n</body>\n</html>\n'
        ),
    )


def page_failure(page: str | Path, error: Exception) -> str:
    """A line that says that a page could not be written; nothing but the page is lost by that."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return printable(f"The page '{page}' could not be written: {reason}")


def figure(caption, svg):
    """HTML of a drawing under a caption.

    Args:
        caption (str): Heading, also read out where pictures are not shown.
        svg (str): SVG document; the page holds it.

    Returns:
        str: For :func:`write_page`.
    """
    # An image of its own: the names inside several drawings do not get in each other's way.
    data = base64.b64encode(svg.encode()).decode()
    return (
        f'<h2>{_escaped(caption)}</h2>\n<img class="figure" '
        f'src="data:image/svg+xml;base64,{data}" alt="{_escaped(caption)}">'
    )


def link(text, target):
    """HTML of a link.

    Args:
        text (str): What to click.
        target (str): Path relative to the folder of the page.

    Returns:
        str: For :func:`write_page`.
    """
    return f'<p><a href="{_address(target)}">{_escaped(text)}</a></p>'


def score_table(caption, header, lines):
    """HTML of a table under a caption.

    Args:
        caption (str): Heading.
        header (Sequence[str]): First line; none if it is empty.
        lines (Iterable[Sequence]): Numbers that are not whole are shown with three decimals,
            None as a dash.

    Returns:
        str: For :func:`write_page`.
    """
    head = ''.join(f'<th>{_escaped(cell)}</th>' for cell in header)
    head = f'<tr>{head}</tr>\n' if head else ''
    body = ''.join(
        '<tr>' + ''.join(f'<td>{_escaped(_text(cell))}</td>' for cell in line) + '</tr>\n'
        for line in lines
    )
    return (
        f'<h2>{_escaped(caption)}</h2>\n<div class="wide"><table class="scores">'
        f'{head}{body}</table></div>'
    )


def _escaped(text):
    return html.escape(printable(text))


def _address(path):
    """A path as the address of a link; its bytes count, whatever the encoding of the name."""
    return quote(os.fsencode(path))


def _text(value):
    if value is None:
        return '\u2013'
    if not isinstance(value, float):  # NumPy's float64 is one
        return str(value)
    return f'{value:.2e}' if 0 < abs(value) < 0.001 else f'{value:.3f}'


def picture_table(folder, columns, rows):
    """HTML of pictures in columns.

    Args:
        folder (str | Path): Folder of the page.
        columns (Sequence[str]): Names of the columns.
        rows (Iterable[tuple[str, Sequence]]): See :func:`write_report`.

    Returns:
        str: For :func:`write_page`.

    Raises:
        ValueError: A row has another number of pictures than there are columns, or a picture
            lies outside the folder.
        FileNotFoundError: A picture does not exist.
    """
    head = '<th></th>' + ''.join(f'<th>{_escaped(column)}</th>' for column in columns)
    lines = []
    for name, pictures in rows:
        if len(pictures) != len(columns):
            raise ValueError(
                f"Row '{name}' has {len(pictures)} pictures for {len(columns)} "
                f'columns {tuple(columns)}; use None for an empty cell.'
            )
        cells = ''.join(
            _cell(folder, name, column, picture)
            for column, picture in zip(columns, pictures, strict=True)
        )
        lines.append(f'<tr><td class="name">{_escaped(name)}</td>{cells}</tr>\n')
    width = _PICTURES_WIDTH / max(len(columns), 1)
    width = round(min(max(width, _NARROWEST_PICTURE), _WIDEST_PICTURE), 2)
    widths = [_NAME_WIDTH] + [width] * len(columns)
    layout = ''.join(f'<col style="width: {width}rem">' for width in widths)
    return (
        f'<div class="wide"><table class="pictures" style="width: {sum(widths):g}rem">'
        f'{layout}<tr>{head}</tr>\n{"".join(lines)}</table></div>'
    )


def _cell(folder, name, column, picture):
    if picture is None:
        return '<td></td>'
    if not Path(picture).is_file():
        raise FileNotFoundError(f"Picture '{picture}' of row '{name}' does not exist.")
    relative = Path(os.path.relpath(picture, folder)).as_posix()
    if relative.startswith('../'):
        raise ValueError(
            f"Picture '{picture}' lies outside '{folder}', the folder of the page: "
            'copy it there, so that the folder can be moved.'
        )
    alt = _escaped(f'{column}: {name}')
    width, height = check_picture(picture, max_pixels=_ANY_SIZE)
    kind = ' class="small"' if width < _SMALL else ''
    return (
        f'<td><a href="{_address(relative)}"><img{kind} loading="lazy" width="{width}" '
        f'height="{height}" src="{_address(relative)}" alt="{alt}"></a></td>'
    )
