"""Folders of pictures: what is found, what is resumed, what goes wrong."""

import json
import multiprocessing
import os
import resource
import signal
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.logging import MMLogger

from sesim_mmagic.apis import SeSimInferencer
from sesim_mmagic.apis.inference.inputs import find_inputs
from tests.test_apis.inference import STYLED, Calls, build, config, picture


@pytest.fixture(scope='module')
def model():
    return build()


@pytest.fixture
def inferencer(model):
    return SeSimInferencer(model)


@pytest.fixture
def folder(tmp_path):
    """Six pictures, two of them in a folder inside."""
    for i, name in enumerate(('0.png', '1.jpg', '2.bmp', '3.png', 'in/0.png', 'in/deep/5.png')):
        write(tmp_path / 'data' / name, i)
    return tmp_path / 'data'


def write(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture(seed=seed))
    return path


def tree(folder):
    files = (p for p in folder.rglob('*') if p.is_file())
    return sorted(p.relative_to(folder).as_posix() for p in files)


def pictures_of(folder):
    return {name: cv2.imread(str(folder / name)) for name in tree(folder) if name.endswith('.png')}


def assert_same(left, right, levels=0):
    assert left.keys() == right.keys()
    assert all(np.abs(left[name].astype(int) - right[name]).max() <= levels for name in left)


def statuses(result):
    return [found['status'] for found in result['predictions']]


# ------------------------------------------------------------------ what is found


def names(*args, **kwargs):
    return [item.name.as_posix() for item in find_inputs(*args, **kwargs)[0]]


def test_folders_keep_their_structure(folder, inferencer, tmp_path):
    out = tmp_path / 'out'
    result = inferencer(folder, out)
    wanted = ['0.png', '1.png', '2.png', '3.png', 'in/0.png', 'in/deep/5.png']
    assert tree(out) == [*wanted, 'translations.json']
    outputs = [Path(file) for found in result['predictions'] for file in found['outputs']]
    assert outputs == [out / name for name in wanted]
    json.dumps(result['predictions'])
    for found in result['predictions']:
        (alone,) = inferencer(found['source'])['visualization']
        assert np.array_equal(cv2.imread(found['outputs'][0]), alone)


def test_patterns_files_and_folders(folder, tmp_path):
    out = tmp_path / 'out'
    assert names(str(folder / '*'), out) == ['0', '1', '2', '3']
    assert names(str(folder / '**/*.png'), out) == ['0', '3', 'in/0', 'in/deep/5']
    assert names(str(folder / 'in/**' / '[0-5].png'), out) == ['0', 'deep/5']
    assert names([folder / 'in', folder / '3.png'], out) == ['0', 'deep/5', '3']
    # The same picture twice is translated once.
    assert names([folder / '3.png', str(folder / '3.png'), folder], out)[0] == '3'
    assert len(names([folder / '3.png', folder], out)) == 6
    # A name with the signs of a pattern is a name first.
    write(folder / 'a[1].png')
    assert names(str(folder / 'a[1].png'), out) == ['a[1]']


def test_what_is_not_looked_for(folder, tmp_path):
    (folder / 'notes.txt').touch()
    write(folder / '.hidden.png')
    write(folder / '.cache/thumb.png')
    write(folder / 'out/0.png')  # translations of an earlier run
    assert len(names(folder, folder / 'out')) == 6
    assert names(str(folder / '*/*.png'), folder / 'out') == ['in/0']
    assert len(names(folder, tmp_path / 'elsewhere')) == 7
    # A file that is named is taken, whatever its suffix.
    assert names(folder / 'notes.txt', tmp_path / 'elsewhere') == ['notes']


def test_mistakes_are_told_before_anything_is_done(folder, inferencer, tmp_path):
    out = tmp_path / 'out'
    for gone in (tmp_path / 'gone.png', str(tmp_path / 'gone/*.png'), tmp_path / 'empty'):
        (tmp_path / 'empty').mkdir(exist_ok=True)
        with pytest.raises(FileNotFoundError, match=Path(gone).name.replace('*', r'\*')):
            inferencer([folder, gone], out)
    with pytest.raises(FileNotFoundError, match='nothing to translate'):
        inferencer([], out)
    os.mkfifo(tmp_path / 'pipe.png')
    with pytest.raises(ValueError, match="pipe.png' is neither a regular file nor a folder"):
        inferencer([folder, tmp_path / 'pipe.png'], out)
    with pytest.raises(ValueError, match=r'array 000001: .* got shape \(20, 28, 3\) of float64'):
        inferencer([np.zeros((20, 28, 3), np.uint8), np.zeros((20, 28, 3))], out)
    assert not out.exists()
    before = pictures_of(folder)
    for inputs in (folder, str(folder / '*.png'), folder / '3.png'):
        with pytest.raises(ValueError, match='would be overwritten'):
            inferencer(inputs, folder)
    assert_same(pictures_of(folder), before)


def test_a_clash_of_names_is_solved(folder, inferencer, tmp_path):
    write(folder / '0.jpg', 7)
    write(folder / 'in/0.tif', 8)
    write(tmp_path / 'other/3.png', 9)
    out = tmp_path / 'out'
    result = inferencer(folder, out)
    wanted = ['0.jpg.png', '0.png.png', '1.png', '2.png', '3.png']
    wanted += ['in/0.png.png', 'in/0.tif.png', 'in/deep/5.png']
    assert list(pictures_of(out)) == wanted
    for found in result['predictions']:
        (alone,) = inferencer(found['source'])['visualization']
        assert np.array_equal(cv2.imread(found['outputs'][0]), alone)
    # Two whole names are equal.
    with pytest.raises(
        ValueError, match=f"'{folder}/3.png' and '.*other/3.png' would have the same"
    ):
        inferencer([folder, tmp_path / 'other'], out)


def test_what_is_left_out_is_counted(folder, inferencer, tmp_path):
    (folder / 'notes.txt').touch()
    (folder / 'in/a.GIF').touch()
    os.mkfifo(folder / 'pipe.png')
    (folder / 'zero.png').symlink_to('/dev/zero')
    (folder / 'in/loop').symlink_to(folder)
    result = inferencer(folder, tmp_path / 'out')
    assert statuses(result) == ['translated'] * 6
    kinds = '.gif 1, .txt 1, device 1, named pipe 1'
    assert result['left_out'] == [f"'{folder}': 4 of 10 files left out: {kinds}"]
    result = inferencer(str(folder / '**/*'), tmp_path / 'out')
    assert statuses(result) == ['skipped'] * 6
    assert result['left_out'] == [f"'{folder}': 4 of 10 files left out: {kinds}"]


def test_odd_names(inferencer, tmp_path):
    odd = [f'{"x" * 251}.png', os.fsdecode(b'l\xf6we.png'), 'a<b>&"c.png', 'p.jpg', 'p.png/in.png']
    for name in odd:
        path = tmp_path / 'data' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode('.png', picture())[1].tobytes())
    bad = os.fsdecode(b'b\xf6se.png')
    (tmp_path / 'data' / bad).write_text('no picture')
    result = inferencer(tmp_path / 'data', tmp_path / 'out')
    failed = [found for found in result['predictions'] if found['status'] == 'failed']
    assert [Path(found['source']).name for found in failed] == [bad, 'in.png']
    reason = f"out/p.png', which is the translation of '{tmp_path}/data/p.jpg': rename one"
    assert failed[1]['reason'].endswith(reason)
    assert statuses(result).count('translated') == 4
    assert len(json.loads((tmp_path / 'out/failed.json').read_text())) == 2
    assert os.fsdecode(b'l\xf6we.png') in os.listdir(tmp_path / 'out')
    again = statuses(inferencer(tmp_path / 'data', tmp_path / 'out'))
    assert again.count('skipped') == 4 and again.count('failed') == 2


# ------------------------------------------------------------------ what is resumed


@pytest.fixture
def whole(folder, inferencer, tmp_path):
    """All translations, made without a break."""
    inferencer(folder, tmp_path / 'whole')
    return pictures_of(tmp_path / 'whole')


def test_finished_pictures_are_skipped(folder, inferencer, model, whole, tmp_path):
    out = tmp_path / 'whole'
    with Calls(model.generators['b']) as calls:
        assert statuses(inferencer(folder, out)) == ['skipped'] * 6
        (out / '2.png').unlink()
        write(folder / '3.png', 9)  # another picture of the same name
        write(folder / 'new.png', 10)
        found = statuses(inferencer(folder, out))
    assert found == ['skipped', 'skipped', *['translated'] * 2, 'skipped', 'skipped', 'translated']
    assert len(calls) == 3
    (changed,) = inferencer(folder / '3.png')['visualization']
    now = pictures_of(out)
    assert np.array_equal(now['3.png'], changed) and not np.array_equal(changed, whole['3.png'])
    assert np.array_equal(now['2.png'], whole['2.png'])


def in_a_process(task):
    """Run a function in a process of its own; return the exit code."""
    process = multiprocessing.get_context('fork').Process(target=task)
    process.start()
    process.join()
    return process.exitcode


@pytest.mark.parametrize('at', ['the network', 'a file'])
def test_a_killed_run_goes_on(folder, model, whole, tmp_path, monkeypatch, at):
    out = tmp_path / 'out'

    def kill(number, *_):
        if number == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    def run():
        if at == 'a file':  # its content is written, its name is not
            replace, calls, turn = os.replace, iter(range(99)), threading.Lock()

            def replaced(*paths):
                with turn:  # threads write
                    kill(next(calls))
                    replace(*paths)

            monkeypatch.setattr(os, 'replace', replaced)
        with Calls(model.generators['b'], kill if at == 'the network' else None):
            SeSimInferencer(model)(folder, out)

    assert in_a_process(run) == -signal.SIGKILL
    done = pictures_of(out)
    assert 2 <= len(done) <= 3
    assert_same(done, {name: whole[name] for name in done})
    result = SeSimInferencer(model)(folder, out)
    assert statuses(result).count('skipped') == len(done)
    assert_same(pictures_of(out), whole)
    assert not list(out.rglob('*.tmp'))
    record = out / 'translations.json'
    for text, problem in (('[1]', 'it should be a mapping'), ('{', 'it is no JSON')):
        record.write_text(text)
        with pytest.raises(ValueError, match=rf"json' is no record of translations \({problem}"):
            SeSimInferencer(model)(folder, out)


def test_translations_of_something_else_are_not_taken_for_ones_own(folder, inferencer, tmp_path):
    out = tmp_path / 'out'
    inferencer(folder / '0.png', out)
    (old,) = pictures_of(out).values()
    other = SeSimInferencer(build(seed=1))
    with pytest.raises(ValueError, match=r'made otherwise \(model\).*another output folder'):
        other(folder, out)
    half = SeSimInferencer(build(), precision='bfloat16')
    with pytest.raises(ValueError, match=r'made otherwise \(precision\)'):
        half(folder, out)
    write(tmp_path / 'another/0.png', 5)
    with pytest.raises(ValueError, match=r"it is of '.*data/0\.png'"):
        inferencer(tmp_path / 'another', out)
    write(out / '1.png')
    with pytest.raises(ValueError, match="1.png' is where .* it is no translation of this model"):
        inferencer(folder, out)
    assert tree(out) == ['0.png', '1.png', 'translations.json']
    assert np.array_equal(cv2.imread(str(out / '0.png')), old)
    write(tmp_path / 'foreign/1.png')
    with pytest.raises(ValueError, match=r'no translation of this model: .*\(--overwrite\)'):
        other(folder, tmp_path / 'foreign')
    assert tree(tmp_path / 'foreign') == ['1.png']  # it is nobody's folder of translations yet
    # What is overwritten leaves the record of the rest as it is.
    inferencer(folder / '3.png', out, overwrite=True)
    assert statuses(inferencer([folder / '0.png', folder / '3.png'], out)) == ['skipped'] * 2
    other(folder, out, overwrite=True)
    assert not np.array_equal(cv2.imread(str(out / '0.png')), old)
    assert statuses(other(folder, out)) == ['skipped'] * 6


def test_styles_are_resumed(folder, tmp_path):
    from sesim_mmagic.translators.styles import draw_styles

    out = tmp_path / 'out'
    inferencer = SeSimInferencer(build(config(STYLED, 'MultiModalTranslator', two_sided=False)))
    styles = draw_styles(3, 3, seed=1)
    inferencer(folder, out, styles=styles)
    whole = pictures_of(out)
    assert len(whole) == 18 and 'in/deep/5_3.png' in whole
    (out / '1_3.png').unlink()
    found = statuses(inferencer(folder, out, styles=styles))
    assert found.count('translated') == 1
    assert_same(pictures_of(out), whole)
    with pytest.raises(ValueError, match=r'made otherwise \(styles\)'):
        inferencer(folder, out, styles=styles[:2])


def test_overwriting_leaves_no_translation_of_something_else(folder, tmp_path, caplog, monkeypatch):
    from sesim_mmagic.translators.styles import draw_styles

    out = tmp_path / 'out'
    settings = config(STYLED, 'MultiModalTranslator', two_sided=False)
    styles = draw_styles(3, 3, seed=1)
    SeSimInferencer(build(settings))(folder, out, styles=styles)
    (out / 'own.png').write_bytes(b'')
    inferencer = SeSimInferencer(build(settings, seed=1))
    (first, *_) = pictures_of(out)
    with pytest.raises(ValueError, match=r"3_1.png' is an input, and a translation"):
        inferencer(out / '3_1.png', out, styles=styles[:2], overwrite=True)
    assert first in pictures_of(out)
    monkeypatch.setattr(MMLogger.get_current_instance(), 'handlers', [caplog.handler])
    inferencer([folder / '0.png', folder / '3.png'], out, styles=styles[:2], overwrite=True)
    assert tree(out) == ['0_1.png', '0_2.png', '3_1.png', '3_2.png', 'own.png', 'translations.json']
    assert 'removed 18 translations that were made otherwise' in caplog.text
    record = json.loads((out / 'translations.json').read_text())
    record['sources']['../data/0.png'] = ['x', 1, 1]
    record['made_by']['model'] = 'another'
    (out / 'translations.json').write_text(json.dumps(record))
    with pytest.raises(ValueError, match="names '../data/0.png', which lies outside its folder"):
        inferencer(folder, out, styles=styles, overwrite=True)
    assert (folder / '0.png').is_file() and (out / '0_1.png').is_file()


# ------------------------------------------------------------------ what goes wrong


def test_bad_pictures_do_not_stop_the_others(folder, inferencer, whole, tmp_path):
    out = tmp_path / 'out'
    data = (folder / '3.png').read_bytes()
    (folder / 'half.png').write_bytes(data[: len(data) // 2])
    (folder / 'text.jpg').write_text('<html>404</html>')
    (folder / 'empty.png').touch()
    result = inferencer(folder, out, batch_size=3)
    assert_same(pictures_of(out), whole, levels=1)  # in batches sums are rounded otherwise
    failed = {Path(p['source']).name: p for p in result['predictions'] if p['status'] == 'failed'}
    assert sorted(failed) == ['empty.png', 'half.png', 'text.jpg']
    assert all(name in found['reason'] for name, found in failed.items())
    assert not any('object at 0x' in found['reason'] for found in failed.values())
    listed = json.loads((out / 'failed.json').read_text())
    assert {Path(found['source']).name for found in listed} == set(failed)
    assert listed[0]['reason'] == failed['empty.png']['reason']
    # Once they are repaired, the same call does what is left.
    for name in failed:
        (folder / name).unlink()
    write(folder / 'half.png')
    assert statuses(inferencer(folder, out)).count('translated') == 1
    assert not (out / 'failed.json').exists()
    # One that was translated and then went bad.
    (folder / 'half.png').write_text('no picture')
    assert statuses(inferencer(folder, out)).count('failed') == 1


def test_a_folder_that_cannot_be_written_to(folder, inferencer, model, tmp_path):
    (tmp_path / 'file').touch()
    with Calls(model.generators['b']) as calls:
        for out in (tmp_path / 'file', tmp_path / 'file/out', '/proc/out'):
            with pytest.raises(OSError, match=Path(out).name):
                inferencer(folder, out)
    assert calls == []


def test_a_full_disk_ends_the_run_at_once(folder, model, tmp_path):
    out = tmp_path / 'out'
    cv2.imwrite(str(folder / '1.png'), picture(90, 90))  # too large for what is left
    (folder / '1.jpg').unlink()

    def run():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000))
        with pytest.raises(OSError, match='File too large'):
            SeSimInferencer(model)(folder, out)

    assert in_a_process(run) == 0
    # Nothing half, nothing temporary. The next one was under way.
    assert tree(out) == ['0.png', '2.png', 'translations.json']
    found = statuses(SeSimInferencer(model)(folder, out))
    assert found == ['skipped', 'translated', 'skipped', *['translated'] * 3]


def test_an_interrupt_leaves_nothing_half(folder, inferencer, model, whole, tmp_path):
    out = tmp_path / 'out'

    def interrupt(number, images):
        if number == 2:
            raise KeyboardInterrupt

    with Calls(model.generators['b'], interrupt), pytest.raises(KeyboardInterrupt):
        inferencer(folder, out)
    assert tree(out) == ['0.png', '1.png', 'translations.json']
    assert statuses(inferencer(folder, out)) == ['skipped'] * 2 + ['translated'] * 4
    assert_same(pictures_of(out), whole)
    # What was made of an earlier state of a picture is not taken for what was interrupted.
    write(folder / '0.png', 9)
    with Calls(model.generators['b'], lambda *_: interrupt(2, None)):
        with pytest.raises(KeyboardInterrupt):
            inferencer(folder, out)
    assert statuses(inferencer(folder, out)) == ['translated'] + ['skipped'] * 5
    (changed,) = inferencer(folder / '0.png')['visualization']
    assert np.array_equal(cv2.imread(str(out / '0.png')), changed)
