"""The page on how the package is built has the table of the arrows that the tests hold."""

import re

import pytest

from tests import test_architecture
from tests.test_docs.markdown import ROOT

PAGE = ROOT / 'docs/architecture.md'


@pytest.mark.skipif(not PAGE.is_file(), reason='the documentation is not here')
def test_the_table_of_the_page_is_the_table_of_the_tests():
    everywhere = {'registry', 'version'}
    shown = {}
    for line in PAGE.read_text(encoding='utf-8').splitlines():
        if re.match(r'\| `', line):
            rooms, others = (re.findall(r'`(\w+)`', cell) for cell in line.split('|')[1:3])
            shown.update({room: set(others) for room in rooms})
    arrows = {room: others - everywhere for room, others in test_architecture.ARROWS.items()}
    assert shown == {room: arrows[room] for room in shown}
    assert set(arrows) - set(shown) == {'version', 'compat', '__init__'}
