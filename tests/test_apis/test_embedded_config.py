"""A checkpoint's own config is read and never run."""

import re
from pathlib import Path

import pytest
from mmengine.config import Config

from sesim_mmagic.apis.embedded_config import embedded_config

ROOT = Path(__file__).resolve().parents[2] / 'configs'
CONFIGS = sorted(ROOT.glob('[!_]*/*.py'))
MODEL = "model = dict(type='sesim_mmagic.OneSidedTranslator')\n"


def read(text):
    return embedded_config(dict(meta=dict(cfg=text)), 'some.pth')


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_every_config_of_this_repository_comes_back_whole(path):
    config = Config.fromfile(path)
    assert read(config.pretty_text)._cfg_dict == config._cfg_dict


def test_values_of_every_kind():
    text = "a = [1, -2.5, (3, None), True]\nb = {'x y': {1, 2}, 3: dict(c='d')}\n"
    found = read(text + MODEL)
    assert found.a == [1, -2.5, (3, None), True]
    assert found.b['x y'] == {1, 2} and found.b[3] == dict(c='d')


def test_keys_that_are_no_names_of_python():
    settings = dict(a={'x y': 1, 'z': {'b.c': dict(d=2)}}, model=dict(type='CycleGAN'))
    text = Config(settings).pretty_text
    assert re.search(r'dict\(\s*\{|\*\*\{', text)
    assert read(text)._cfg_dict.to_dict() == settings


def test_a_loss_of_ones_own_need_not_be_known():
    assert read("model = dict(type='CycleGAN', structure_loss=dict(type='mine.Loss'))")


@pytest.mark.parametrize(
    'text',
    [
        'open({path!r}, "w")',
        'a = open({path!r}, "w")',
        'a = dict(b=[open({path!r}, "w")])',
        'a = dict(open({path!r}, "w"))',
        'a = dict(**open({path!r}, "w"))',
        'a = [x for x in (open({path!r}, "w"),)]',
        'a = f"{{open({path!r}, chr(119))}}"',
        'import os',
        'a.b = 1',
        'a = (lambda: open({path!r}, "w"))()',
        'dict = open\na = dict({path!r})',
        'a = dict(',
    ],
)
def test_code_is_refused_and_not_run(tmp_path, text):
    path = tmp_path / 'made'
    with pytest.raises(ValueError, match=r"'some.pth' was not read"):
        read(text.format(path=str(path)) + '\n' + MODEL)
    assert not path.exists()


@pytest.mark.parametrize('content', [{}, dict(meta=None), dict(meta={}), dict(meta=dict(cfg=3))])
def test_a_checkpoint_without_config(content):
    with pytest.raises(ValueError, match='does not hold its config'):
        embedded_config(content, 'some.pth')


def test_a_config_without_model():
    with pytest.raises(ValueError, match="has no 'model'"):
        read('a = 1')
