"""The benchmark of inference: both commands on the same pictures, what it reports and refuses."""

import json
import sys
from pathlib import Path

import pytest

from tests.test_tools.test_command_line import tool

ROOT = Path(__file__).resolve().parents[2]
# Stand-ins for both commands: they copy the pictures, ours one level brighter. They note the times
# themselves: those of file systems come in steps of some milliseconds.
COPY = """
import os, shutil, sys, time
from pathlib import Path
import cv2
def value(name): return sys.argv[sys.argv.index(name) + 1]
begin = time.time()
def take(number, seconds, path):
    time.sleep(seconds)
    os.utime(path, (begin + (number + 1) * seconds,) * 2)
"""
OURS = f"""{COPY}
out = Path(value('--out'))
out.mkdir()
for number, picture in enumerate(sorted(Path(sys.argv[1]).iterdir())):
    cv2.imwrite(str(out / picture.name), cv2.add(cv2.imread(str(picture)), 1))
    take(number, 0.02, out / picture.name)
"""
THEIRS = f"""{COPY}
from dominate.tags import td
assert value('--gpu_ids') == '-1' and value('--preprocess') == 'none' and value('--ngf') == '4'
data = Path(value('--dataroot'))
out = Path(value('--results_dir'), 'cut/test_latest/images/fake_B')
out.mkdir(parents=True)
assert len(list((data / 'trainA').iterdir())) == int(value('--num_test')) == 5
assert Path(value('--checkpoints_dir'), value('--name'), 'latest_net_G.pth').is_file()
for number, picture in enumerate(sorted((data / 'testA').iterdir())):
    take(number, 0.06, shutil.copy(picture, out))
"""


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'tools/benchmark'))
    import inference

    return inference


@pytest.fixture
def reference(tmp_path):
    (tmp_path / 'cut/models').mkdir(parents=True)
    (tmp_path / 'cut/models/cut_model.py').touch()
    (tmp_path / 'cut/test.py').write_text(THEIRS)
    return tmp_path / 'cut'


def test_commands_take_turns_on_the_same_pictures(
    benchmark, reference, tmp_path, monkeypatch, capsys
):
    (tmp_path / 'tools').mkdir()
    (tmp_path / 'tools/translate.py').write_text(OURS)
    monkeypatch.setattr(benchmark, 'ROOT', tmp_path)
    floors, floor = [], benchmark.floor
    monkeypatch.setattr(benchmark, 'floor', lambda *size: floors.append(floor(*size)) or floors[-1])
    argv = f'--reference {reference} --sizes 32 --batch-sizes 1 2 --pictures 5 --width 4'
    out = tmp_path / 'out.json'
    benchmark.main([*argv.split(), '--repeats', '2', '--out', str(out)])
    printed = capsys.readouterr().out
    assert '32 pixels: translations of both differ by at most 1 of 255 levels' in printed
    results = json.loads(out.read_text())
    one, two, theirs = results['results']
    names = [row['command'] for row in (one, two, theirs)]
    assert names == ['translate.py, batch 1', 'translate.py, batch 2', "CUT's test.py"]
    assert theirs['x the last'] == [1, 1] and len(one['pictures/s']) == 2
    for row, seconds in ((one, 0.02), (two, 0.02), (theirs, 0.06)):
        assert row['pictures/s'] == pytest.approx([1 / seconds] * 2, rel=1e-3)
        assert all(
            0 < start < whole
            for start, whole in zip(row['start-up s'], row['whole s'], strict=True)
        )
        seconds_each = [1 / rate for rate in row['pictures/s']]
        shares = [each / alone for each, alone in zip(seconds_each, floors, strict=True)]
        assert min(row['peak MB']) > 5 and row['x floor'] == pytest.approx(shares)
    assert one['x the last'] == pytest.approx([3, 3], rel=1e-3)
    assert "| 32 | 1 | CUT's test.py | " in printed


WATCHED = """
import os, sys, time
from pathlib import Path
assert os.environ['OMP_NUM_THREADS'] == '3' and not os.environ['CUDA_VISIBLE_DEVICES']
begin, folder = time.time(), Path(sys.argv[1])
folder.mkdir()
for number, seconds in enumerate((1000, 1001, 1003, 1006, 1010)):
    picture = folder / f'{number}.png'
    picture.touch()
    os.utime(picture, (begin + seconds,) * 2)
"""


def test_rates_and_start_up_are_those_of_the_files(benchmark, tmp_path):
    out = tmp_path / 'out'
    out.mkdir()
    (out / 'of an earlier run.png').touch()
    words = [sys.executable, '-c', WATCHED, str(out)]
    found = benchmark.Command('ours', words, out, 2, tmp_path, '').run(3)
    assert found['pictures/s'] == pytest.approx(3 / (1010 - 1001), rel=1e-3)
    assert 1000 <= found['start-up s'] <= 1000 + found['whole s']


def test_our_command_translates(benchmark, tmp_path):
    benchmark.write_pictures(tmp_path / 'testA', 16, 2)
    benchmark.write_model(tmp_path, 4)
    command = benchmark.our_command(tmp_path, 2)
    assert command.batch == 2 and command.words[-2:] == ['--batch-size', '2']
    # In this process: what takes time is importing.
    assert tool('translate').main(command.words[2:]) == 0
    assert len(list(command.out.glob('*.png'))) == 2


def test_a_command_that_fails_says_why(benchmark, tmp_path):
    words = [sys.executable, '-c', 'raise SystemExit("no such model")']
    command = benchmark.Command('theirs', words, tmp_path / 'out', 1, tmp_path, '')
    with pytest.raises(benchmark.command_line.CommandError, match='theirs failed: no such model'):
        command.run(1)


@pytest.mark.parametrize(
    ('argv', 'message'),
    [
        (['--reference', 'configs'], "'configs' holds no models/cut_model.py"),
        (['--pictures', '8', '--batch-sizes', '8'], '--pictures must be more than in any batch'),
        (['--threads', '0'], "--threads: a whole number of at least 1 is expected, got '0'"),
    ],
)
def test_what_cannot_be_measured_is_refused(benchmark, capsys, argv, message):
    with pytest.raises(SystemExit) as error:
        benchmark.main(argv)
    assert error.value.code == 2
    assert message in capsys.readouterr().err
