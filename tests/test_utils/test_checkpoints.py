import pytest

from sesim_mmagic.utils import checkpoints


@pytest.mark.parametrize('noted', ['{dir}/iter_2.pth', '/moved/away/iter_2.pth', 'iter_2.pth\n'])
def test_last_checkpoint_is_found(tmp_path, noted):
    (tmp_path / 'iter_2.pth').touch()
    (tmp_path / 'last_checkpoint').write_text(noted.format(dir=tmp_path))
    assert checkpoints.last_checkpoint(tmp_path) == str(tmp_path / 'iter_2.pth')


def test_a_copied_folder_goes_on_with_its_own_checkpoint(tmp_path):
    for name in ('first', 'copied'):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'iter_2.pth').touch()
        (tmp_path / name / 'last_checkpoint').write_text(str(tmp_path / 'first/iter_2.pth'))
    own = tmp_path / 'copied/iter_2.pth'
    assert checkpoints.last_checkpoint(tmp_path / 'copied') == str(own)


def test_no_last_checkpoint(tmp_path):
    assert checkpoints.last_checkpoint(tmp_path) is None
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'gone.pth'))
    assert checkpoints.last_checkpoint(tmp_path) is None
