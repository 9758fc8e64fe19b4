import base64
import html
import re

import cv2
import numpy as np
import pytest

from sesim_mmagic.engine import write_report
from sesim_mmagic.engine.curves import Panel, draw_curves
from sesim_mmagic.engine.html_report import figure, link, score_table, write_page
from sesim_mmagic.utils.names import printable


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / 'page' / 'in puts' / '50%#1?.png'
    path.parent.mkdir(parents=True)
    cv2.imwrite(str(path), np.zeros((4, 4, 3), np.uint8))
    return path


def test_page_shows_pictures_and_tables(tmp_path, picture):
    page = tmp_path / 'page' / 'index.html'
    write_report(
        page,
        'A < B',
        ('input', 'truth'),
        [('<1>', [picture, None])],
        tables=[('Scores', ('method', 'IoU'), [('x & y', 0.812345), ('y', 1.2e-5), ('z', 3)])],
        note='2 > 1',
    )
    text = page.read_text()
    assert '<title>A &lt; B</title>' in text and 'A < B' not in text
    assert '&lt;1&gt;' in text and 'x &amp; y' in text and '2 &gt; 1' in text
    assert '<td>0.812</td>' in text and '<td>1.20e-05</td>' in text and '<td>3</td>' in text
    assert '<td></td>' in text  # the missing truth
    assert re.findall(r'src="([^"]+)"', text) == ['in%20puts/50%25%231%3F.png']
    assert not re.search(r'(src|href)="(/|https?:|file:)|<script', text)


def test_replaces_an_old_page_and_leaves_nothing_behind(tmp_path):
    page = tmp_path / 'index.html'
    for title in ('first', 'second'):
        write_report(page, title, (), [])
    assert 'second' in page.read_text()
    assert list(tmp_path.iterdir()) == [page]


def test_page_is_not_written_if_a_picture_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="gone.png' of row 'x'"):
        write_report(tmp_path / 'index.html', 't', ('a',), [('x', [tmp_path / 'gone.png'])])
    assert not list(tmp_path.iterdir())


def test_picture_outside_the_folder_is_refused(tmp_path, picture):
    with pytest.raises(ValueError, match='lies outside'):
        write_report(tmp_path / 'other' / 'index.html', 't', ('a',), [('x', [picture])])


def test_row_of_another_length_is_refused(tmp_path, picture):
    with pytest.raises(ValueError, match="Row 'x' has 1 pictures for 2 columns"):
        write_report(tmp_path / 'page' / 'index.html', 't', ('a', 'b'), [('x', [picture])])


def test_page_of_parts(tmp_path):
    parts = [
        score_table('A & B', (), [('x', None), ('y', 0.5)]),
        figure('"Curves"', '<svg>é</svg>'),
        link('50% < 1', 'a b/50%#1.html'),
    ]
    write_page(tmp_path / 'page.html', 'Title', parts, note='below')
    text = (tmp_path / 'page.html').read_text()
    order = ['<h1>Title', 'below', 'A &amp; B', '>\u2013<', '>0.500<', 'Curves', '50% &lt; 1']
    assert [text.index(part) for part in order] == sorted(text.index(part) for part in order)
    assert '<tr></tr>' not in text and '<th>' not in text
    assert 'href="a%20b/50%25%231.html"' in text and 'alt="&quot;Curves&quot;"' in text
    (data,) = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', text)
    assert base64.b64decode(data).decode() == '<svg>é</svg>'


def test_curves_show_every_panel():
    panels = [Panel(f'score {i}', [(1, 0.5), (2, None), (3, 0.7)]) for i in range(4)]
    panels.append(Panel('a$b_{$ <i>\udcf6', [(1, 0.5)]))  # no formula, no markup, no text
    panels.append(Panel('never', [(1, None)], marks=[(1, None)]))
    plain = draw_curves(panels)
    assert plain == draw_curves(panels)  # equal curves give equal files
    for panel in panels:
        title = html.escape(printable(panel.title), quote=False)
        assert f'>{title}</text>' in plain
    panels[0].ring, panels[0].marks = [(3, 0.7)], [(3, 0.6)]
    named = draw_curves(panels, dict(line='held-out', ring='best', marks='test'))
    for name in ('held-out', 'best', 'test'):
        assert named.count(f'>{name}</text>') == 1 and f'>{name}</text>' not in plain
    with pytest.raises(ValueError, match='no panel'):
        draw_curves([])


@pytest.mark.parametrize('columns, width', [(2, 16), (4, 16), (8, 8), (10, 6.4), (30, 6)])
def test_many_columns_share_the_page(tmp_path, columns, width):
    write_report(tmp_path / 'index.html', 'Many', [str(i) for i in range(columns)], [])
    layout = re.findall(r'<col style="width: ([0-9.]+)rem">', (tmp_path / 'index.html').read_text())
    assert [float(found) for found in layout] == [6] + [width] * columns
