"""Pictures that cannot be used are named by the tools before the work, or left out if asked to."""

import pytest

from tests.test_engine import tiny
from tests.test_tools.test_command_line import tool


@pytest.fixture
def config(tmp_path):
    data = tiny.write_pictures(tmp_path / 'data')
    return tiny.write_config(tmp_path / 'config.py', data, work_dir=str(tmp_path / 'work'))


def refused(capsys, name, *arguments):
    with pytest.raises(SystemExit) as caught:
        tool(name).main([str(argument) for argument in arguments])
    assert caught.value.code == 2
    return capsys.readouterr().err


def test_broken_pictures(config, tmp_path, capsys):
    broken = [tmp_path / 'data' / name for name in ('trainA/2.png', 'trainB/0.png', 'testA/1.png')]
    for path in broken:
        path.write_bytes(path.read_bytes()[:400])
    (tmp_path / 'data/trainA/animated.gif').write_bytes(b'GIF89a')
    said = refused(capsys, 'train', config)
    assert '3 pictures cannot be used; ' in said and '--skip-broken' in said
    assert all(f'{str(path)!r}: image file is truncated' in said for path in broken)
    work = tmp_path / 'work'
    assert [path.name for path in work.iterdir()] == ['checked_pictures.json']
    tool('train').main([str(config), '--skip-broken', '--cfg-options', 'train_cfg.max_iters=2'])
    log = ''.join(path.read_text() for path in work.rglob('*.log'))
    assert '2 of 9 pictures are left out' in log and 'trainA/2.png' in log
    said = refused(capsys, 'test', config, work / 'iter_2.pth')
    assert '1 picture cannot be used; ' in said and str(broken[2]) in said
    tool('test').main([str(config), str(work / 'iter_2.pth'), '--skip-broken'])
    assert not (work / 'test/translations/b/1.png').exists()
    assert (work / 'test/translations/b/2.png').exists()


def test_more_pixels_than_are_allowed(config, capsys):
    # 32 x 32 in training, 37 x 30 in the test.
    said = refused(capsys, 'train', config, '--max-image-pixels', 1024)
    assert said.count('37 x 30 are 1110 pixels, and max_image_pixels is 1024') == 6
    for wrong in (0, -3, '1e6'):
        assert 'at least 1' in refused(capsys, 'train', config, '--max-image-pixels', wrong)
