import html
import re

import cv2
import numpy as np
import pytest

from sesim_mmagic.engine import write_report
from sesim_mmagic.engine.curves import draw_curves
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
        tables=[
            (
                'Scores',
                ('method', 'IoU'),
                [('x & y', 0.812345), ('y', 1.2e-5), ('z', 3), ('w', None)],
            )
        ],
        note='2 > 1',
    )
    text = page.read_text()
    assert '<title>A &lt; B</title>' in text and 'A < B' not in text
    assert '&lt;1&gt;' in text and 'x &amp; y' in text and '2 &gt; 1' in text
    assert (
        '<td>0.812</td>' in text
        and '<td>1.20e-05</td>' in text
        and '<td>3</td>' in text
        and '<td>\u2013</td>' in text
    )
    assert '<td></td>' in text  # the missing truth
    assert 'style="--columns: 2"' in text  # their share of the page
    assert re.findall(r'src="([^"]+)"', text) == ['in%20puts/50%25%231%3F.png']
    assert not re.search(r'(src|href)="(/|https?:|file:)|<script', text)


def test_replaces_an_old_page_and_leaves_nothing_behind(tmp_path):
    page = tmp_path / 'index.html'
    for title in ('first', 'second'):
        write_report(page, title, (), [])
    assert 'second' in page.read_text()
    assert list(tmp_path.iterdir()) == [page]


def test_page_is_not_written_if_a_picture_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="gone.png' does not exist"):
        write_report(tmp_path / 'index.html', 't', ('a',), [('x', [tmp_path / 'gone.png'])])
    assert not list(tmp_path.iterdir())


def test_picture_outside_the_folder_is_refused(tmp_path, picture):
    with pytest.raises(ValueError, match='lies outside'):
        write_report(tmp_path / 'other' / 'index.html', 't', ('a',), [('x', [picture])])


def test_row_of_another_length_is_refused(tmp_path, picture):
    with pytest.raises(ValueError, match="Row 'x' has 1 pictures for 2 columns"):
        write_report(tmp_path / 'page' / 'index.html', 't', ('a', 'b'), [('x', [picture])])


def test_curves_show_every_panel():
    panels = {f'score {i}': {'': [(1, 0.5), (2, None), (3, 0.7)]} for i in range(4)}
    panels['a$b_{$ <i>\udcf6'] = {'': [(1, 0.5)]}  # no formula, no markup, no text
    panels['never'] = {'': [(1, None)], 'mark': [(None, 1)]}
    plain = draw_curves(panels)
    assert plain == draw_curves(panels)  # equal curves give equal files
    for title in panels:
        assert f'>{html.escape(printable(title), quote=False)}</text>' in plain
    panels['score 0'] = {'held-out': [(1, 0.5)], 'best': [(3, 0.7)], 'test': [(3, 0.6)]}
    panels['score 1'] = {'held-out': [(1, 0.5)]}
    named = draw_curves(panels)
    for name in ('held-out', 'best', 'test'):
        assert named.count(f'>{name}</text>') == 1 and f'>{name}</text>' not in plain
