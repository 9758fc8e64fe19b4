"""Scores of folders of translations, whoever made them."""

import json
import os
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
        folder / 'translations',
        truth=folder / 'truth',
        source=folder / 'source',
        feature_net='random',
    )
    pairs = list(zip(pictures['truth'], pictures['translations'], strict=True))
    assert found['paired/psnr'] == pytest.approx(np.mean([scores.psnr(*pair) for pair in pairs]))
    assert found['paired/ssim'] == pytest.approx(np.mean([scores.ssim(*pair) for pair in pairs]))
    same = evaluate_folder(
        folder / 'translations', source=folder / 'translations', feature_net='random'
    )
    assert same['structure/distance'] < 1e-5 < found['structure/distance']


def test_folders_inside_and_clashes_of_names_count(folders, recwarn):
    """Translations as tools/translate.py names them find their sources, all of them."""
    folder, _ = folders
    names = ['0', 'in/0', 'in/a.jpg', 'in/a.png', f'{"x" * 230}', os.fsdecode(b'l\xf6we')]
    sources = ['0.bmp', 'in/0.tif', 'in/a.jpg', 'in/a.png', f'{"x" * 230}.bmp']
    sources.append(os.fsdecode(b'l\xf6we.bmp'))
    for number, (name, source) in enumerate(zip(names, sources, strict=True)):
        pixels = np.full((24, 24, 3), 40 * number, np.uint8)
        for root, file in (('out', f'{name}.png'), ('in', source)):
            (folder / root / file).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / root / file)
    (folder / 'out/old.gif').touch()
    for name in ('translations.json', 'failed.json', 'index.html'):  # its notes, no left-out files
        (folder / 'out' / name).touch()
    (folder / 'out/.inputs').mkdir()
    Image.fromarray(pixels).save(folder / 'out/.inputs/0.png')
    seen = []
    found = evaluate_folder(
        folder / 'out', truth=folder / 'in', progress=lambda files: seen.extend(files) or files
    )
    assert len(seen) == 6 and found['paired/ssim'] == 1
    (told,) = [str(warning.message) for warning in recwarn if 'left out' in str(warning.message)]
    assert told.endswith("out': 1 of 7 files left out: .gif 1")


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
        (None, dict(truth='nowhere'), FileNotFoundError, "nowhere' is not a folder"),
        ('empty', dict(truth='translations'), ValueError, 'holds no picture'),
        ('fewer', dict(truth='truth'), ValueError, "no picture for 2 of 8 .* first is '6'"),
        ('smaller', dict(truth='truth'), ValueError, '48 x 48 pixels, its truth 40 x 40 .*0.png'),
        ('smaller', dict(source='truth', feature_net='random'), ValueError, 'must have one size'),
        (
            'sizes',
            dict(real='truth', inception='random'),
            ValueError,
            '40 x 40, 48 x 48; .*--real-s',
        ),
        (
            'bad',
            dict(truth='truth'),
            ValueError,
            r'2 pictures cannot be used.*\n.*/0.png.*\n.*/1.png',
        ),
        (None, dict(real='truth', real_size=(0, 5)), ValueError, 'real_size .* must be positive'),
        (None, dict(source='source', lpips='random'), ValueError, 'lpips .* needs a truth'),
        (None, dict(truth='truth', max_image_pixels=99), ValueError, '16 pictures cannot be used'),
        (
            None,
            dict(source='source', feature_net='no.pth', truth='truth', lpips='gone.pth'),
            FileNotFoundError,
            r"'gone.pth' do not exist; .* \(--lpips\); .*'no.pth' do not exist; "
            r'give package .* by feature_net \(--feature-net\)$',
        ),
        ('two', dict(real='truth', inception='random', scores=['fid', 'x']), ValueError, 'scores'),
        ('two', dict(real='truth', inception='random'), ValueError, 'density needs .* of scores'),
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
    elif change == 'sizes':
        write(translations / 'in', 3, count=2, side=40)
    elif change == 'bad':
        for i in range(2):
            (translations / f'{i}.png').write_text('no picture')
    elif change is not None:
        for path in (folder / 'truth').iterdir():
            path.unlink()
        (folder / 'truth').rmdir()
        write(folder / 'truth', 1, **dict(fewer=dict(count=6), smaller=dict(side=40))[change])
    paths = {k: folder / v if k in ('truth', 'source', 'real') else v for k, v in options.items()}
    with pytest.raises(error, match=message):
        evaluate_folder(translations, **paths, progress=lambda _: pytest.fail('it works already'))
