"""tools/translate.py: what it prints, what it leaves, how it ends."""

import json
import os
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest

from sesim_mmagic.apis import SeSimInferencer
from tests.test_apis.inference import STYLED, Calls, build, config, picture, save
from tests.test_apis.test_inferencer_folders import in_a_process, pictures_of, tree, write
from tests.test_tools.test_command_line import fails, tool


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    return save(tmp_path_factory.mktemp('model') / 'model.pth', build())


@pytest.fixture
def folder(tmp_path):
    for i, name in enumerate(('0.png', '1.jpg', 'in/2.png')):
        write(tmp_path / 'data' / name, i)
    return tmp_path / 'data'


def run(*argv):
    return tool('translate').main([str(a) for a in (*argv, '--device', 'cpu')])


@pytest.mark.quick
def test_a_folder(model, folder, tmp_path, capsys):
    out = tmp_path / 'out'
    assert run(folder, '--model', model, '--out', out) == 0
    shown = capsys.readouterr()
    assert shown.out == f'3 inputs translated: {out}\n'
    assert shown.err == '', 'neither a progress bar, as there is no terminal, nor warnings'
    assert sorted(pictures_of(out)) == ['0.png', '1.png', 'in/2.png']
    assert run(folder, '--model', model, '--out', out) == 0
    assert capsys.readouterr().out == f'0 inputs translated (3 were there already): {out}\n'
    assert run(folder, '--model', model, '--out', out, '--overwrite') == 0
    assert capsys.readouterr().out.startswith('3 inputs translated:')


def test_names_that_are_no_utf8_and_what_is_left_out(folder, tmp_path, capsys):
    """With a page of styles, whose names are text; a page that fails costs no translation."""
    settings = config(STYLED, 'MultiModalTranslator', two_sided=False)
    model = save(tmp_path / 'styled.pth', build(settings), settings)
    odd = os.fsdecode(b'l\xf6we')
    write(folder / '0.png').rename(folder / f'{odd}.png')
    write(folder / '1.png', 5)  # beside 1.jpg
    (folder / f'{odd}.gif').touch()
    (folder / f'{odd}.jpg').write_text('no picture')
    out = tmp_path / f'out{odd}'
    (out / 'index.html').mkdir(parents=True)
    command = (folder, '--model', model, '--out', out, '--styles', 2)
    assert run(*command) == 1
    shown = capsys.readouterr()
    assert shown.err.splitlines()[0] == f"'{folder}': 1 of 6 files left out: .gif 1"
    assert "index.html' could not be written: " in shown.err.splitlines()[1]
    assert shown.out == f'4 inputs translated, each in 2 styles: {tmp_path}/outl\\udcf6we\n'
    stems = ['1.jpg', '1.png', 'in/2', f'{odd}.png']
    wanted = [f'{stem}_{i}.png' for stem in stems for i in (1, 2)]
    assert [name for name in tree(out) if not name.startswith('.inputs')] == sorted(
        [*wanted, 'failed.json', 'translations.json']
    )
    ((failed),) = json.loads((out / 'failed.json').read_text())
    assert failed['source'] == f'{folder}/{odd}.jpg' and 'BytesIO' not in failed['reason']
    (out / 'index.html').rmdir()
    assert run(*command) == 1
    page = (out / 'index.html').read_text()
    assert 'src="l%F6we.png_1.png"' in page and 'src=".inputs/1.jpg.png"' in page


def test_a_terminal_gets_a_progress_bar(model, folder, tmp_path, capsys, monkeypatch):
    import sys

    monkeypatch.setattr(sys.stderr, 'isatty', lambda: True, raising=False)
    monkeypatch.setenv('TERM', 'xterm')
    run(folder, '--model', model, '--out', tmp_path / 'out')
    assert '100%' in capsys.readouterr().err


def test_options_reach_the_inferencer(model, folder, tmp_path):
    write(folder / 'tall.png')
    cv2.imwrite(str(folder / 'tall.png'), picture(300, 20))
    (tmp_path / 'config.py').write_text(f'model = {config()!r}')
    options = '--batch-size 2 --channels-last --precision bfloat16 --strip-pixels 3000'.split()
    out, inputs = tmp_path / 'out', str(folder / '*.png')
    options += ['--target-domain', 'b', '--config', tmp_path / 'config.py']
    assert run(inputs, folder / '1.jpg', '--model', model, '--out', out, *options) == 0
    found = SeSimInferencer(model, device='cpu', precision='bfloat16', strip_pixels=3000)
    for name, path in (('0', '0.png'), ('1', '1.jpg'), ('tall', 'tall.png')):
        (wanted,) = found(folder / path)['visualization']
        translated = cv2.imread(str(out / f'{name}.png')).astype(int)
        assert np.abs(translated - wanted).mean() < 1


def test_bad_pictures_are_listed(model, folder, tmp_path, capsys):
    out = tmp_path / 'out'
    for i in range(25):
        (folder / f'bad{i:02}.png').write_text('no picture')
    assert run(folder, '--model', model, '--out', out) == 1
    shown = capsys.readouterr()
    assert shown.out.startswith('3 inputs translated:')
    lines = shown.err.splitlines()
    assert lines[0] == f'25 could not be translated, see {out / "failed.json"}:'
    assert lines[1].startswith(f'  {folder / "bad00.png"}: ') and lines[-1] == '  and 5 more'
    assert len(json.loads((out / 'failed.json').read_text())) == 25
    assert len(pictures_of(out)) == 3


def test_it_ends_with_2_where_it_cannot_work(model, folder, tmp_path, capsys):
    (tmp_path / 'file').touch()
    options = '--device', 'cpu', '--model', model, '--out'
    assert str(tmp_path / 'file') in fails(capsys, 'translate', folder, *options, tmp_path / 'file')
    out = tmp_path / 'out'
    run(folder / '0.png', '--model', model, '--out', out)
    options = *options, out
    message = fails(capsys, 'translate', folder, *options, '--precision', 'bfloat16')
    assert 'made otherwise (precision)' in message and 'overwrite' in message
    for setting, reason in (
        ('--precision float16', 'float16 is for accelerators'),
        ('--target-domain c', "not 'c'"),
        ('--batch-size 0', 'batch_size must be positive'),
        ('--strip-pixels -1', 'strip_pixels must be positive'),
        ('--max-image-pixels 0', 'a whole number of at least 1 is expected'),
    ):
        assert reason in fails(capsys, 'translate', folder, *options, *setting.split())
    assert tree(out) == ['0.png', 'translations.json']

    def full_disk():
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))
        assert 'File too large' in fails(capsys, 'translate', folder, *options)

    assert in_a_process(full_disk) == 0
    assert tree(out) == ['0.png', 'translations.json']


def test_an_interrupted_run_says_how_to_go_on(model, folder, tmp_path, capsys, monkeypatch):
    out, call = tmp_path / 'out', SeSimInferencer.__call__

    def interrupt(number, images):
        if number == 1:
            raise KeyboardInterrupt

    def interrupted(self, *args, **kwargs):
        with Calls(self.model.generators['b'], interrupt):
            return call(self, *args, **kwargs)

    monkeypatch.setattr(SeSimInferencer, '__call__', interrupted)
    with pytest.raises(SystemExit) as ended:
        run(folder, '--model', model, '--out', out)
    assert ended.value.code == 130
    assert 'the same command goes on' in capsys.readouterr().err
    monkeypatch.setattr(SeSimInferencer, '__call__', call)
    assert run(folder, '--model', model, '--out', out) == 0
    assert '2 inputs translated (1 were there already)' in capsys.readouterr().out


def test_the_sheet_of_a_resumed_folder_is_whole(folder, tmp_path):
    settings = config(STYLED, 'MultiModalTranslator', two_sided=False)
    model = save(tmp_path / 'styled.pth', build(settings), settings)
    (folder / 'bad.png').write_text('no picture')
    out = tmp_path / 'out'
    options = '--model', model, '--out', out, '--styles', 2
    assert run(folder, *options) == 1
    sheet = (out / 'index.html').read_text()
    (out / 'in/2_2.png').unlink()
    assert run(folder, *options) == 1
    assert (out / 'index.html').read_text() == sheet
    assert [p for p in tree(out) if p.startswith('.inputs')] == [
        f'.inputs/{name}.png' for name in ('0', '1', 'in/2')
    ]
    assert all(f'"{Path(p)}"' in sheet for p in ('.inputs/in/2.png', 'in/2_1.png', 'in/2_2.png'))
    assert 'bad' not in sheet
