"""Scores of folders of translations, whoever made them."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sesim_mmagic.apis import evaluate_folder
from sesim_mmagic.evaluation import PooledFeatures, scores, set_scores
from sesim_mmagic.networks import VGG16Features

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


def test_command_line(folders, capsys):
    """Scores of a network that names itself, and what needs none."""
    import evaluate

    folder, _ = folders
    write(folder / 'real', 5, count=11, side=40)
    arguments = [folder / 'translations', '--real', folder / 'real', '--set-features', 'random']
    arguments += ['--scores', 'kid', 'density', 'coverage', 'appearance']
    evaluate.main([str(a) for a in (*arguments, '--out', folder / 'scores.json')])
    written = json.loads((folder / 'scores.json').read_text())
    names = {f'distribution/{n}_vgg16_random' for n in ('kid', 'density', 'coverage')}
    names |= {f'appearance/{n}' for n in ('swd', 'colour_spread', 'colour_spread_real')}
    assert names <= set(written) and 'distribution/fid_vgg16_random' not in written
    printed = capsys.readouterr().out
    for name, value in written.items():
        assert f'{name}: {value:.4f}' in printed


def test_sets_in_the_features_of_a_file(folders):
    """The score of these features; keys say which network and which file judged."""
    folder, pictures = folders
    network = VGG16Features(['relu5_3'], pretrained=None, seed=4, channel_order='rgb')
    network.init_weights()
    weights = {f'features.{key}': value for key, value in network.network.named_buffers()}
    torch.save(weights, folder / 'hed.pth')
    found = evaluate_folder(
        folder / 'translations',
        folder / 'truth',
        set_features=str(folder / 'hed.pth'),
        scores=['kid'],
    )
    assert set(found) == {'distribution/kid_vgg16_hed', 'distribution/kid_std_vgg16_hed'}
    layers = ('relu3_3', 'relu4_3', 'relu5_3')
    pooled = PooledFeatures(
        dict(type='sesim_mmagic.VGG16Features', layers=layers, pretrained=None, seed=4)
    )
    real, fake = (
        pooled(torch.from_numpy(pictures[name]).permute(0, 3, 1, 2)).numpy()
        for name in ('truth', 'translations')
    )
    expected = set_scores.kid(real, fake, 1, 8, 0)[0]
    assert found['distribution/kid_vgg16_hed'] == pytest.approx(expected, rel=1e-3)


def test_appearance_needs_no_network_and_any_sizes(folders):
    """Levels are those that the smallest picture has, here what real ones are brought to."""
    folder, _ = folders
    write(folder / 'translations/large', 3, count=2, side=130)
    found = evaluate_folder(
        folder / 'translations', folder / 'truth', real_size=(80, 40), scores=['appearance']
    )
    assert [key for key in found if 'swd' in key] == ['appearance/swd_1', 'appearance/swd']


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
            dict(real='truth', set_features='random'),
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
        (
            None,
            dict(real='truth', set_features='no.pth'),
            FileNotFoundError,
            r"'no.pth' do not exist; give package .* or inception:clean=PATH, by set_features "
            r'\(--set-features\)$',
        ),
        (None, dict(real='truth', set_features='inception:x'), ValueError, "'legacy'.*got 'x'"),
        (None, dict(real='truth', set_features='timm:resnet8'), ValueError, 'no model .resnet8'),
        (None, dict(real='truth', scores=['fid', 'x']), ValueError, 'scores .* coverage, appear'),
        (
            'two',
            dict(real='truth', set_features='random'),
            ValueError,
            'density needs .* of scores',
        ),
        ('one', dict(real='truth', scores=['appearance']), ValueError, 'at least 2 .* 8 and 1;'),
        ('tiny', dict(truth='tiny'), ValueError, "0.png' has 10 x 10 pixels: SSIM .* 11 x 11"),
    ],
)
def test_refused(folders, change, options, error, message):
    folder, _ = folders
    translations = folder / 'translations'
    if change == 'empty':
        translations = folder / 'empty'
        translations.mkdir()
    elif change in ('one', 'two'):
        translations = folder / change
        write(translations, 3, count=1 + (change == 'two'))
    elif change == 'tiny':
        translations = folder / change
        write(translations, 3, count=2, side=10)
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


@pytest.mark.parametrize('option', [('--scores', 'appearance'), ('--real-size', '64', '64')])
def test_options_of_real_pictures_without_them(folders, capsys, option):
    import evaluate

    folder, _ = folders
    with pytest.raises(SystemExit):
        evaluate.main([str(folder / 'translations'), '--truth', str(folder / 'truth'), *option])
    assert 'give --real' in capsys.readouterr().err
