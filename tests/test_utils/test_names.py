"""What results are called that are made of files."""

import os
from pathlib import PurePath

import pytest

from sesim_mmagic.utils.names import output_names, printable


@pytest.mark.parametrize(
    ('sources', 'names'),
    [
        (['a.jpg', 'b/a.png', 'c.d.bmp', 'e'], ['a', 'b/a', 'c.d', 'e']),
        (['a.jpg', 'a.png', 'x/a.tif'], ['a.jpg', 'a.png', 'x/a']),
        # 'a.jpg' would be the name of both of the first and the last.
        (['a.jpg', 'a.png', 'a.jpg.bmp'], ['a.jpg', 'a.png', 'a.jpg.bmp']),
        (
            ['a.jpg.png', 'a.jpg.bmp', 'a.png', 'a.bmp'],
            ['a.jpg.png', 'a.jpg.bmp', 'a.png', 'a.bmp'],
        ),
        (['a.jpg', 'a.jpg'], ['a', 'a']),
        (['000000', '000000.png'], ['000000', '000000.png']),
        ([], []),
    ],
)
def test_stems_where_no_other_file_has_them(sources, names):
    assert output_names(sources) == [PurePath(name) for name in names]
    assert output_names(sources[::-1]) == [PurePath(name) for name in names[::-1]]


def test_long_names_are_cut_and_stay_apart():
    sources = [f'{"x" * 251}.png', f'{"x" * 250}y.png', f'ä{"ä" * 120}.png', f'{"z" * 251}.jpg']
    sources += [f'{"z" * 251}.png']
    names = output_names(sources)
    assert len(set(names)) == 5
    assert all(len(os.fsencode(f'{name}_12.png.tmp')) <= 255 for name in names)
    assert str(names[0]).startswith('x' * 200)
    assert [os.fsencode(name).decode() for name in names]  # no character is cut in two


def test_bytes_that_are_no_text_can_be_printed():
    assert printable(PurePath(os.fsdecode(b'l\xf6we'))) == 'l\\udcf6we'
    assert printable('löwe') == 'löwe'
