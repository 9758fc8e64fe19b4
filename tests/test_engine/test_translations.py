import os
from types import SimpleNamespace
from unittest.mock import Mock

import cv2
import numpy as np
import pytest
import torch
from mmagic.structures import DataSample

from sesim_mmagic.engine import SaveTranslationsHook
from sesim_mmagic.engine.hooks import translations
from sesim_mmagic.translators import Translator


class OneSided(Translator):
    domains = dict(zebra='horse')
    forward = None  # abstract, and not called


class TwoSided(OneSided):
    domains = dict(zebra='horse', horse='zebra')


def sample(source, target='/data/testB/other.png', value=100.4, fakes=('zebra',)):
    """A test sample: source picture 10, target picture 20, translation of some value."""
    result = DataSample(metainfo=dict(img_horse_path=source, img_zebra_path=target))
    images = dict(img_horse=10, img_zebra=20, **{f'fake_{fake}': value for fake in fakes})
    result.set_tensor_data({k: torch.full((3, 4, 6), float(v)) for k, v in images.items()})
    return result


class Folders:
    """What a data set of two folders tells of its pictures."""

    dataroot_a, dataroot_b, data_root = '/data/testA', '/data/testB', '/data'

    def __init__(self, *samples, paired=False):
        self.samples, self.paired = samples, paired

    def __len__(self):
        return len(self.samples)

    def get_data_info(self, index):
        one = self.samples[index]
        return dict(img_A_path=one.img_horse_path, img_B_path=one.img_zebra_path)


def loop(*datasets):
    loaders = [SimpleNamespace(dataset=dataset) for dataset in datasets]
    return SimpleNamespace(dataloaders=loaders, evaluators=[None] * len(loaders))


@pytest.fixture
def run(tmp_path):
    def test(
        *samples, model=OneSided, metrics=None, logger=None, datasets=None, work='work', **kwargs
    ):
        hook = SaveTranslationsHook(**kwargs)
        runner = SimpleNamespace(
            model=model(),
            work_dir=str(tmp_path / work),
            cfg=SimpleNamespace(filename='horse2zebra.py'),
            logger=logger or Mock(),
            test_loop=loop(*([object()] if datasets is None else datasets)),
        )
        hook.before_test(runner)
        hook.before_test_epoch(runner)
        for i, one in enumerate(samples):
            hook.after_test_iter(runner, i, outputs=[one])
        hook.after_test_epoch(runner, metrics)
        return tmp_path / work / 'test'

    return test


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob('*') if p.is_file())


def test_several_translations_of_a_source_stand_side_by_side(run):
    first, second = sample('/data/testA/1.png'), sample('/data/testA/2.png')
    for one in (first, second):
        others = torch.stack([one.fake_zebra + 10 * i for i in range(3)])
        one.set_tensor_data(dict(fakes_zebra=others))
    folder = run(first, second)
    values = []
    for name in ('translations', 'translations_2', 'translations_3'):
        assert files(folder / name) == ['zebra/1.png', 'zebra/2.png']
        values.append(cv2.imread(str(folder / name / 'zebra/1.png')).mean())
    assert values == [100, 110, 120]
    page = (folder / 'index.html').read_text()
    columns = [page.index(f'>{c}<') for c in ('input', 'translation', 'translation 2')]
    assert columns == sorted(columns) and '>truth<' not in page


@pytest.mark.parametrize('validations', [False, True])
def test_validations_show_how_translations_came_about(tmp_path, validations):
    hook = SaveTranslationsHook(validations=validations)
    one = sample('/data/testA/3.png')
    runner = SimpleNamespace(
        model=OneSided(), work_dir=str(tmp_path), iter=0, val_loop=loop(Folders(one))
    )
    for runner.iter, value in ((20, 7.0), (40, 9.0)):
        hook.before_val_epoch(runner)
        hook.after_val_iter(runner, 0, outputs=[sample('/data/testA/3.png', value=value)])
    names = [f'validations/{i}/zebra/3.png' for i in (20, 40)] if validations else []
    assert files(tmp_path) == names
    assert [cv2.imread(str(tmp_path / name)).mean() for name in names] == [7.0, 9.0][: len(names)]


def test_pictures_are_named_after_their_sources(run):
    folder = run(sample('/data/testA/one.two.jpg'), sample('/data/testA/3.png'))
    assert files(folder) == [
        'index.html',
        'inputs/horse/3.png',
        'inputs/horse/one.two.png',
        'translations/zebra/3.png',
        'translations/zebra/one.two.png',
    ]
    page = (folder / 'index.html').read_text()
    assert '<h1>horse2zebra</h1>' in page
    assert 'truth' not in page


def test_pictures_are_clipped_rounded_and_bgr(run):
    one = sample('/data/testA/1.png')
    one.fake_zebra[:] = torch.tensor([-3.0, 100.5001, 300.0])[:, None, None]
    folder = run(one)
    written = cv2.imread(str(folder / 'translations/zebra/1.png'), cv2.IMREAD_UNCHANGED)
    assert written.shape == (4, 6, 3) and written.dtype == np.uint8
    assert (written == (0, 101, 255)).all()


@pytest.mark.parametrize(
    ('target', 'paired', 'shown'),
    [
        ('/data/testB/1.png', False, False),  # names of unpaired pictures may be the same
        ('/data/testB/1.png', True, True),
        ('/data/testA/1.png', False, True),  # one file shows both
    ],
)
def test_truth_is_shown_where_the_test_set_is_paired(run, target, paired, shown):
    one, other = sample('/data/testA/1.png', target), sample('/data/testA/2.png')
    datasets = [Folders(one, paired=paired), Folders(other)]
    for number, sets in enumerate((datasets, [SimpleNamespace(datasets=datasets)])):
        folder = run(one, other, datasets=sets, work=str(number))
        truths = ['truths/zebra/1.png'] if shown else []
        assert [name for name in files(folder) if name.startswith('truths')] == truths
        assert ('truth' in (folder / 'index.html').read_text()) == shown


def test_two_directions_have_folders_of_their_own(run):
    folder = run(
        sample('/data/testA/1.png', '/data/testB/2.png', fakes=('zebra', 'horse')), model=TwoSided
    )
    assert files(folder) == [
        'index.html',
        'inputs/horse/1.png',
        'inputs/zebra/2.png',
        'translations/horse/2.png',
        'translations/zebra/1.png',
    ]
    assert '1 (zebra)' in (folder / 'index.html').read_text()


def test_names_keep_folders_and_tell_suffixes_apart(run):
    samples = [
        sample(f'/data/testA/{name}', f'/data/testB/{partner}')
        for name, partner in (
            ('a/1.png', 'a/1.jpg'),
            ('b/1.png', 'c/1.png'),
            ('2.jpg', '2.bmp'),
            ('2.png', '3.png'),
        )
    ]
    folder = run(*samples, datasets=[Folders(*samples, paired=True)])
    names = ['2.jpg.png', '2.png.png', 'a/1.png', 'b/1.png']
    assert files(folder / 'translations/zebra') == names
    assert files(folder / 'inputs/horse') == names
    assert files(folder / 'truths/zebra') == names
    page = (folder / 'index.html').read_text()
    assert '>a/1<' in page and '>b/1<' in page and '>2.jpg<' in page


def test_sources_of_one_name_in_several_data_sets_are_all_saved(run):
    class Other(Folders):
        dataroot_a, data_root = '/other/testA', '/other'

    first, second = sample('/data/testA/1.png', value=1), sample('/other/testA/1.png', value=2)
    for work, datasets in (('known', [Folders(first), Other(second)]), ('unknown', None)):
        folder = run(first, second, datasets=datasets, work=work)
        names = files(folder / 'translations/zebra')
        assert len(names) == 2 and names[1] == '1.png'
        assert cv2.imread(str(folder / 'translations/zebra' / names[0])).mean() == 2
        assert cv2.imread(str(folder / 'translations/zebra/1.png')).mean() == 1


def test_names_that_are_no_utf8_or_too_long(run):
    odd = os.fsdecode(b'/data/testA/l\xf6we <b>.png')
    folder = run(sample(odd), sample(f'/data/testA/{"x" * 251}.png'))
    names = sorted(os.listdir(os.fsencode(folder / 'translations/zebra')))
    assert names[0] == b'l\xf6we <b>.png' and names[1].startswith(b'xxx') and len(names) == 2
    page = (folder / 'index.html').read_text()
    assert 'src="translations/zebra/l%F6we%20%3Cb%3E.png"' in page
    assert 'l\\udcf6we &lt;b&gt;' in page and '<b>' not in page


def test_what_cannot_be_written_is_one_warning(run, tmp_path):
    (tmp_path / 'work/test/inputs').mkdir(parents=True)
    (tmp_path / 'work/test/inputs/horse').touch()  # is no folder
    (tmp_path / 'work/test/index.html').mkdir()
    logger = Mock()
    folder = run(sample('/data/testA/1.png'), sample('/data/testA/2.png'), logger=logger)
    assert files(folder / 'translations/zebra') == ['1.png', '2.png']
    told = [call.args[0] for call in logger.warning.call_args_list]
    assert told[0].startswith('2 pictures could not be saved, the first: ')
    assert told[1].startswith(f"The page '{folder}/index.html' could not be written: ")
    assert len(told) == 2 and all(len(line.splitlines()) == 1 for line in told)


def test_sample_that_comes_twice_is_saved_once(run):
    folder = run(sample('/data/a/1.png'), sample('/data/a/1.png'))
    assert '1 of 1 translations' in (folder / 'index.html').read_text()


def test_page_shows_metrics_and_the_first_rows(run, monkeypatch):
    monkeypatch.setattr(translations, '_MOST_ROWS', 2)
    folder = run(*(sample(f'/data/a/{i}.png') for i in range(4)), metrics={'PSNR': 21.23456})
    page = (folder / 'index.html').read_text()
    assert '<td>PSNR</td><td>21.235</td>' in page
    assert '2 of 4 translations' in page and page.count('translation: ') == 2
    assert len(os.listdir(folder / 'translations/zebra')) == 4


def test_sample_without_translation_is_refused(run):
    with pytest.raises(ValueError, match='no fake_<domain>'):
        run(sample('/data/a/1.png', fakes=()))


def test_source_without_name_is_refused(run):
    nameless = sample('/data/a/1.png')
    del nameless.img_horse_path
    with pytest.raises(ValueError, match="'img_horse_path' in meta_keys of PackInputs"):
        run(nameless)


def test_test_without_pictures_is_reported(run):
    logger = Mock()
    assert not run(logger=logger).exists()
    assert 'No picture was translated' in logger.warning.call_args.args[0]
