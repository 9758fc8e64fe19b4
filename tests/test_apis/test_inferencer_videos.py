"""Videos, frame by frame."""

import json
import os
import signal
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from sesim_mmagic.apis import SeSimInferencer
from sesim_mmagic.apis.inference import inferencer as inferencer_module
from sesim_mmagic.apis.inference.videos import read_video, video_writer
from sesim_mmagic.translators.styles import draw_styles
from tests.test_apis.inference import STYLED, Calls, build, config, translated
from tests.test_apis.test_inferencer_folders import in_a_process, statuses, tree, write


@pytest.fixture(scope='module')
def model():
    return build()


def write_video(path, frames=7, fps=12.5, size=(48, 64)):
    """A disc that wanders over a gradient."""
    ramp = np.linspace(0, 255, size[1]).astype(np.uint8)
    with video_writer(path, fps) as write:
        for i in range(frames):
            frame = np.repeat(np.tile(ramp, (size[0], 1))[..., None], 3, axis=2)
            cv2.circle(frame, (8 + 6 * i, 20), 9, (40, 200, 250 - 20 * i), -1)
            write(frame)
    return path


def frames_of(path):
    return list(read_video(path)[1])


@pytest.fixture
def video(tmp_path):
    return write_video(tmp_path / 'in/walk.mp4')


def assert_same_frames(path, wanted, folder):
    """What is in a file is what the same writer makes of the wanted frames."""
    with video_writer(folder / 'wanted.mp4', 12.5) as write:
        for frame in wanted:
            write(frame)
    found = frames_of(path)
    assert len(found) == len(wanted)
    for left, right in zip(found, frames_of(folder / 'wanted.mp4'), strict=True):
        # Translated in other batches, a pixel is rounded otherwise and a block coded otherwise; the
        # styles of the test below are 5 levels and more apart.
        assert np.abs(left.astype(int) - right).mean() < 2


@pytest.mark.parametrize('batch_size', [1, 3])
def test_every_frame_is_translated(model, video, tmp_path, batch_size):
    out = tmp_path / 'out'
    write(tmp_path / 'in/0.png')
    with Calls(model.generators['b']) as calls:
        result = SeSimInferencer(model)(tmp_path / 'in', out, batch_size=batch_size)
    assert [shape[0] for shape in calls] == ([1] * 8 if batch_size == 1 else [1, 3, 3, 1])
    assert tree(out) == ['0.png', 'translations.json', 'walk.mp4']
    assert statuses(result) == ['translated'] * 2
    assert read_video(out / 'walk.mp4')[0] == 12.5
    assert frames_of(out / 'walk.mp4')[0].shape == (48, 64, 3)
    assert_same_frames(out / 'walk.mp4', translated(model, frames_of(video)), tmp_path)
    assert statuses(SeSimInferencer(model)(tmp_path / 'in', out)) == ['skipped'] * 2


def test_a_style_lasts_the_whole_video(video, tmp_path, monkeypatch):
    written = {}

    @contextmanager
    def recording(path, fps):
        with video_writer(path, fps) as write:
            yield lambda frame: (
                written.setdefault(path, []).append(frame.astype(int)),
                write(frame),
            )

    monkeypatch.setattr(inferencer_module, 'video_writer', recording)
    model = build(config(STYLED, 'MultiModalTranslator', two_sided=False, decode_batch=2))
    styles = draw_styles(3, 3, seed=1)
    SeSimInferencer(model)(video, tmp_path / 'out', styles=styles, batch_size=2)
    monkeypatch.undo()
    wanted = translated(model, frames_of(video), styles=styles)
    # Before they are coded, frames are the same but for rounding.
    for frames, right in zip(written.values(), zip(*wanted, strict=True), strict=True):
        assert np.abs(np.stack(frames) - np.stack(right)).max() <= 1
    for i in range(3):
        path = tmp_path / f'out/walk_{i + 1}.mp4'
        assert_same_frames(path, [each[i] for each in wanted], tmp_path)


def test_damaged_videos(model, video, tmp_path, capfd):
    folder = video.parent
    (folder / 'text.mp4').write_text('no video')
    (folder / 'half.mp4').write_bytes(video.read_bytes()[:2000])
    whole = write_video(folder / 'long.mkv', frames=60)
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size * 3 // 5])
    write(folder / 'z.png')
    result = SeSimInferencer(model)(folder, tmp_path / 'out')
    assert tree(tmp_path / 'out') == ['failed.json', 'translations.json', 'walk.mp4', 'z.png']
    listed = json.loads((tmp_path / 'out/failed.json').read_text())
    failed = {item['source']: item['reason'] for item in listed}
    assert sorted(failed) == [str(folder / name) for name in ('half.mp4', 'long.mkv', 'text.mp4')]
    assert 'of 60 frames can be read' in failed[str(folder / 'long.mkv')]
    assert statuses(result).count('failed') == 3


def test_nothing_half_is_left(model, video, tmp_path):
    out = tmp_path / 'out'

    def interrupt(number, images):
        if number == 4:
            raise KeyboardInterrupt

    with Calls(model.generators['b'], interrupt), pytest.raises(KeyboardInterrupt):
        SeSimInferencer(model)(video, out)
    assert tree(out) == ['translations.json']

    def full_disk():
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))
        with pytest.raises(OSError, match='of 7 frames got into the file: is the disk full'):
            SeSimInferencer(model)(video, out)

    assert in_a_process(full_disk) == 0
    assert tree(out) == ['translations.json']
    assert statuses(SeSimInferencer(model)(video, out)) == ['translated']


def test_a_video_needs_a_place_to_go(model, video):
    with pytest.raises(ValueError, match='needs an out_dir'):
        SeSimInferencer(model)(video)
    with pytest.raises(FileNotFoundError, match='gone.mp4'):
        read_video(video.with_name('gone.mp4'))


def test_names_that_are_no_utf8(model, video, tmp_path):
    """OpenCV would end the process."""
    folder = tmp_path / os.fsdecode(b'f\xf6lm')
    folder.mkdir()
    odd = folder / os.fsdecode(b'l\xf6we.mp4')
    os.rename(video, odd)
    (found,) = SeSimInferencer(model)(folder, tmp_path / 'out')['predictions']
    assert found['status'] == 'translated'
    (written,) = (Path(file) for file in found['outputs'])
    assert written.name == odd.name and len(frames_of(written)) == len(frames_of(odd)) == 7
    assert tree(tmp_path / 'out') == [odd.name, 'translations.json']
