"""The text of a config is read as MMEngine reads it, and never run."""

import pytest
from mmengine.config import Config

from sesim_mmagic.engine.plain_settings import read_settings


def test_settings_are_read_as_mmengine_reads_them():
    settings = dict(
        a=(1, -2.5), b=[None, True, 'x\n"\'é'], c={'not a name': dict(d=())}, e=1e-3, f=(3,)
    )
    text = Config(settings).pretty_text
    assert read_settings(text) == Config.fromstring(text, '.py').to_dict() == settings


@pytest.mark.parametrize('text', ['{{}}[{run}]', '[{run}]', '1 + {run}', '({run}, 1)[1]', '-{run}'])
def test_nothing_is_run(tmp_path, text):
    mark = tmp_path / 'mark'
    with pytest.raises(ValueError):
        read_settings('a = ' + text.format(run=f'open({str(mark)!r}, "w")'))
    assert not mark.exists()


def test_text_that_nests_without_end():
    with pytest.raises(ValueError):
        read_settings('a = ' + '[' * 5000 + ']' * 5000)
