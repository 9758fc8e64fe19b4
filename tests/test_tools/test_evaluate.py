"""Scores of folders of translations, whoever made them."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sesim_mmagic.apis import evaluate_folder
from sesim_mmagic.evaluation import scores

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'tools'))


def write(folder, seed, count=8, side=48, suffix='.png', names=None):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    for name, picture in zip(names or range(count), pictures, strict=True):
        Image.fromarray(picture).save(folder / f'{name}{suffix}')
    return pictures


@pytest.fixture
def folders(tmp_path):
    """Translations, and what they can be compared with."""
    pictures = {
        name: write(tmp_path / name, seed, suffix='.bmp' if name == 'truth' else '.png')
        for seed, name in enumerate(('translations', 'truth', 'source'))
    }
    return tmp_path, pictures


def test_scores_are_those_of_the_pictures(folders):
    folder, pictures = folders
    found = evaluate_folder(
        folder / 'translations', truth=folder / 'truth', source=folder / 'source', vgg16='random'
    )
    pairs = list(zip(pictures['truth'], pictures['translations'], strict=True))
    assert found['paired/psnr'] == pytest.approx(np.mean([scores.psnr(*pair) for pair in pairs]))
    assert found['paired/ssim'] == pytest.approx(np.mean([scores.ssim(*pair) for pair in pairs]))
    same = evaluate_folder(folder / 'translations', source=folder / 'translations', vgg16='random')
    assert same['structure/distance'] < 1e-5 < found['structure/distance']


@pytest.mark.slow  # FID's eigenvalues of 2048 features
def test_command_line(folders, capsys):
    import evaluate

    folder, _ = folders
    write(folder / 'real', 5, count=11, side=40)
    arguments = [folder / 'translations', '--real', folder / 'real', '--inception', 'random']
    evaluate.main([str(a) for a in (*arguments, '--out', folder / 'scores.json')])
    written = json.loads((folder / 'scores.json').read_text())
    names = {f'distribution/{n}_clean_random' for n in ('fid', 'kid', 'density', 'coverage')}
    assert names <= set(written)
    printed = capsys.readouterr().out
    for name, value in written.items():
        assert f'{name}: {value:.4f}' in printed


@pytest.mark.parametrize(
    ('change', 'options', 'error', 'message'),
    [
        (None, dict(), ValueError, 'Nothing to compare'),
        (None, dict(truth='nowhere'), FileNotFoundError, "nowhere' is no folder"),
        ('empty', dict(truth='translations'), FileNotFoundError, 'holds no picture'),
        ('fewer', dict(truth='truth'), ValueError, "no picture for 2 of 8 .* first is '6'"),
        ('smaller', dict(truth='truth'), ValueError, '48 x 48 pixels, its truth 40 x 40 .*0.png'),
        ('smaller', dict(source='truth', vgg16='random'), ValueError, 'must have one size'),
        (None, dict(source='source', vgg16='no.pth'), FileNotFoundError, "'no.pth' do not exist"),
        ('two', dict(real='truth', inception='random'), ValueError, 'density needs at least 7'),
    ],
)
def test_refused(folders, change, options, error, message):
    folder, _ = folders
    translations = folder / 'translations'
    if change == 'empty':
        translations = folder / 'empty'
        translations.mkdir()
    elif change == 'two':
        translations = folder / 'two'
        write(translations, 3, count=2)
    elif change is not None:
        for path in (folder / 'truth').iterdir():
            path.unlink()
        (folder / 'truth').rmdir()
        write(folder / 'truth', 1, **dict(fewer=dict(count=6), smaller=dict(side=40))[change])
    paths = {k: folder / v if k in ('truth', 'source', 'real') else v for k, v in options.items()}
    with pytest.raises(error, match=message):
        evaluate_folder(translations, **paths)
