"""A training becomes a released file, a model card and an entry that mim finds."""

import functools
import hashlib
import html
import http.server
import json
import os
import pickle
import re
import resource
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
import yaml
from mmengine.config import Config

import sesim_mmagic
from sesim_mmagic.apis.embedded_config import embedded_config
from sesim_mmagic.apis.inference.loading import init_translator
from sesim_mmagic.apis.model_zoo import (
    SHIPPED,
    find_index,
    find_model,
    list_models,
    resolve_model,
)
from sesim_mmagic.apis.release.content import released_config, released_meta, serialize
from sesim_mmagic.apis.release.fresh_process import check_in_fresh_process, translations
from sesim_mmagic.apis.release.metafile import index_files
from sesim_mmagic.apis.release.model_card import read_resources, read_scores, write_card
from sesim_mmagic.apis.release.publish import choose_checkpoint, publish
from sesim_mmagic.engine import read_results
from sesim_mmagic.engine.pictures import write_picture
from sesim_mmagic.engine.plain_settings import read_settings
from sesim_mmagic.utils.downloads import sha256_of
from tests.test_apis.inference import translated
from tests.test_engine import tiny
from tests.test_tools.test_command_line import fails, tool
from tests.test_translators import tiny as tiny_models
from tests.tiny import TINY_PROJECTED

NAME = 'fsesim_tiny'
FACTS = dict(
    **dict(name='a', config='a', model='OneSidedTranslator', source='a', target='b', iterations=2),
    **dict(
        parameters=99,
        averaged=True,
        half=False,
        as_trained=True,
        data='d',
        resources='r',
        licence='MIT',
        limits='',
    ),
    scores=[dict(split='test', pictures=3, metrics={'paired/psnr': 9.5})],
    versions=dict(sesim_mmagic='1.0', torch='2.0'),
    **dict(file='a.pth', weights='https://host/a.pth', travels=False, sha256='ab' * 32),
)
README = """# FSeSim, tiny

> [A paper](https://example.org/paper), 2021
"""


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """A repository with one config and no released model."""
    root = tmp_path_factory.mktemp('repository')
    (root / 'configs/fsesim').mkdir(parents=True)
    (root / 'configs/fsesim/README.md').write_text(README)
    (root / 'model-index.yml').write_text('# Models.\nImport: []\n')
    tiny.write_config(
        root / f'configs/fsesim/{NAME}.py',
        tiny.write_pictures(root / 'data'),
        test_dataloader__dataset__paired=True,
        test_evaluator=[
            dict(type='sesim_mmagic.PairedScores', source_domain='a', target_domain='b')
        ],
    )
    return root


@pytest.fixture(scope='module')
def config(root):
    return root / f'configs/fsesim/{NAME}.py'


@pytest.fixture(scope='module')
def work_dir(config, tmp_path_factory):
    """A training with a moving average, tested afterwards, as tools/train.py leaves it."""
    work_dir = tmp_path_factory.mktemp('work')
    results = dict(type='sesim_mmagic.ResultsHook')
    tiny.train(config, work_dir, train_cfg__max_iters=2, default_hooks__results=results).test()
    return work_dir


@pytest.fixture(scope='module')
def sample(root):
    return root / 'data/testA/0.png'


@pytest.fixture(scope='module')
def trained(work_dir):
    return work_dir / 'iter_2.pth'


@pytest.fixture(scope='module')
def server(tmp_path_factory):
    """Folder and address of a server on this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    folder = tmp_path_factory.mktemp('server')
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f'http://127.0.0.1:{server.server_port}'
        server.shutdown()


@pytest.fixture(scope='module')
def release(root, config, work_dir, sample, server):
    folder, address = server
    path, card, *index = publish(
        work_dir,
        folder,
        licence='CC0',
        config=config,
        samples=[sample],
        base_url=f'{address}/',
        root=root,
        limits='Tiny.',
    )
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    (score,) = read_scores(work_dir, work_dir / 'iter_2.pth', 2)
    return SimpleNamespace(
        path=path, card=card, index=index, sha256=sha256, metrics=score['metrics']
    )


def test_the_file_holds_inference_alone(release, trained):
    content = torch.load(release.path, weights_only=True)
    assert set(content) == {'meta', 'state_dict'}
    assert all(key.startswith('generators.b.') for key in content['state_dict'])
    meta = content['meta']
    assert {type(value) for value in meta.values()} == {str, int}
    assert meta['experiment_name'] == NAME and meta['iter'] == 2
    assert meta['sesim_mmagic_version'] == sesim_mmagic.__version__
    assert meta['torch_version'] == torch.__version__
    assert embedded_config(content, release.path).model.ema is None
    assert os.path.dirname(trained.parent) not in meta['cfg']
    assert release.path.stat().st_size < trained.stat().st_size / 2


def test_name_date_and_sum_belong_together(release, trained):
    date = tiny.load(trained)['meta']['time'][:8]
    assert release.path.name == f'{NAME}_{date}-{release.sha256[:8]}.pth'
    names = {path.name for path in release.path.parent.iterdir()}
    stem = release.path.stem
    assert names == {f'{stem}.pth', f'{stem}.md', f'{stem}_samples'}, 'no remains'


def test_the_moving_average_is_what_is_released(release, trained):
    before, after = tiny.load(trained)['state_dict'], tiny.load(release.path)['state_dict']
    average = {k: v for k, v in before.items() if k.startswith('generator_ema.module.')}
    assert len(average) == len(after)
    for key, value in average.items():
        name = key.replace('generator_ema.module.', 'generators.')
        assert torch.equal(after[name], value), name
    assert any(not torch.equal(before[k], v) for k, v in after.items())


def test_it_translates_as_the_training_does(release, config, trained, sample):
    (before,) = translated(init_translator(config, trained, 'cpu'), sample)
    (after,) = translated(init_translator(None, release.path, 'cpu'), sample)
    assert np.array_equal(before, after)


def test_a_model_in_half_precision_that_travels(root, work_dir, sample, tmp_path):
    """Published, tested, published again with the scores of the file itself."""
    shutil.copytree(root / 'configs', tmp_path / 'configs')
    config, out = tmp_path / f'configs/fsesim/{NAME}.py', tmp_path / 'models'
    options = dict(licence='CC0', config=config, samples=[sample], name='short.name', half=True)
    path, card = publish(work_dir, out, **options)
    # Scores that the training noted are those of other weights.
    assert 'None were measured' in card.read_text() and 'half precision' in card.read_text()
    trained = init_translator(config, work_dir / 'iter_2.pth', 'cpu')
    stored = torch.load(path, weights_only=True)['state_dict']
    assert {weight.dtype for weight in stored.values()} == {torch.float16}
    loaded = init_translator(None, path, 'cpu').generators.state_dict()
    for name, weight in trained.inference_generators.state_dict().items():
        assert torch.equal(loaded[name], weight.half().float()), name

    options.update(overwrite=True, root=tmp_path)
    with pytest.raises(ValueError, match=f'holds no test of .*{path.name}.*tools/test.py'):
        publish(work_dir, out, scores=work_dir, **options)
    results = 'default_hooks.results.type=sesim_mmagic.ResultsHook'
    arguments = (config, path, '--work-dir', tmp_path / 'test', '--cfg-options', results)
    tool('test').main([*map(str, arguments)])
    assert publish(work_dir, out, scores=tmp_path / 'test', **options)[0] == path
    model = find_model('short.name', tmp_path / 'model-index.yml')
    assert model['Weights'] == f'models/{path.name}'
    assert f']({path.name})' in card.read_text() and "('short.name')" in card.read_text()
    assert model['Results'][0]['Metrics'] == read_results(tmp_path / 'test')['tests'][0]['metrics']
    assert resolve_model('short', tmp_path / 'model-index.yml') == str(path)


def test_weights_that_half_precision_cannot_hold(trained, config, out):
    content = tiny.load(trained)
    content['state_dict']['generator_ema.module.b.model.1.weight'] += 1e9
    torch.save(content, out.parent / 'large.pth')
    refused(ValueError, r'b\.model\.1\.weight.*65504', out.parent / 'large.pth', out,
            config=config, half=True)  # fmt: skip


def test_the_same_training_gives_the_same_bytes(release, config, trained):
    cfg, meta = Config.fromfile(config), released_meta(tiny.load(trained)['meta'], NAME)
    model = init_translator(cfg, trained, 'cpu')
    assert serialize(model, cfg, meta) == release.path.read_bytes()
    model.generator_ema = None
    content = serialize(model, cfg, meta)
    assert content != release.path.read_bytes()


def test_metafile_and_index(release, root, work_dir, server):
    metafile = root / 'configs/fsesim/metafile.yml'
    assert release.index == [metafile, root / 'model-index.yml']
    index = (root / 'model-index.yml').read_text()
    assert index == '# Models.\nImport:\n- configs/fsesim/metafile.yml\n'
    content = yaml.safe_load(metafile.read_text())
    assert content['Collections'] == [
        dict(
            Name='FSeSim, tiny',
            Paper=dict(Title='A paper', URL='https://example.org/paper'),
            README='configs/fsesim/README.md',
        )
    ]
    (model,) = content['Models']
    results = read_results(work_dir)
    metrics = results['tests'][0]['metrics']
    assert len(metrics) >= 2
    assert model['Results'] == [
        dict(Task='Image-to-Image Translation', Dataset='data, test', Metrics=metrics)
    ]
    assert model['Config'] == f'configs/fsesim/{NAME}.py'
    assert model['Weights'] == f'{server[1]}/{release.path.name}'
    metadata = model['Metadata']
    weights = tiny.load(release.path)['state_dict']
    assert metadata['Parameters'] == sum(v.numel() for v in weights.values())
    assert metadata['Training Data'] == 'data' and metadata['Iterations'] == 2
    minutes = results['training']['seconds'] / 60
    assert metadata['Training Resources'] == f'1 x CPU, {minutes:.2g} minutes' and minutes > 0
    assert metadata['SHA256'] == release.sha256


def test_the_card(release, sample, monkeypatch, tmp_path):
    card = release.card.read_text()
    assert 'from **a** to **b**' in card and 'licence: CC0' in card and 'Tiny.' in card
    assert release.sha256 in card and 'a moving average' in card
    assert f'config: `{NAME}`; its settings are inside the file, where those of this' in card
    psnr = release.metrics['paired/psnr']
    assert f'| test, 3 | paired/psnr | {psnr:.4g} |' in card
    source, translation = re.findall(r'!\[\]\((.+?)\)', card)
    monkeypatch.chdir(release.card.parent)
    assert np.array_equal(cv2.imread(source), cv2.imread(str(sample)))
    (code,) = re.findall(r'```python\n(.+?)```', card, re.DOTALL)
    exec(code.replace('pictures', source).replace('translations', str(tmp_path)))
    assert np.array_equal(cv2.imread(str(tmp_path / Path(source).name)), cv2.imread(translation))


def test_markup_in_names_is_shown_as_it_is():
    from markdown_it import MarkdownIt

    odd = '<script>alert(1)</script> **b** _i_ [x](javascript:y) `c` | # $z$ ![](http://x)'
    rows = [['a (1)/<b> "s.png', 'a (1)/t.png']]
    plain = dict(FACTS, weights='https://a/b c/(d).pth', rows=rows)
    facts = dict.fromkeys(('data', 'resources', 'licence', 'source', 'target'), odd)
    scores = [dict(score, split=odd) for score in plain['scores']]
    facts = dict(plain, **facts, limits=f'{odd}\n\n## Head', scores=scores)
    render = MarkdownIt().enable('table').render
    texts = [write_card(plain), write_card(facts)]
    tags = [re.findall(r'<(\w+)', render(text)) for text in texts]
    assert tags[0] == tags[1]
    shown = html.unescape(re.sub(r'<[^>]+>', '', render(texts[1])))
    assert shown.count(odd) >= 6
    assert 'href="https://a/b%20c/%28d%29.pth"' in render(texts[1])
    assert 'src="a%20%281%29/%3Cb%3E%20%22s.png"' in render(texts[1])


def test_the_card_of_a_model_that_travels_gives_its_name():
    for travels, given in ((True, 'a'), (False, 'a.pth')):
        card = write_card(dict(FACTS, rows=[], travels=travels))
        assert f"SeSimInferencer('{given}')" in card and '](https://host/a.pth)' in card
        assert 'config: `a`; the settings of this training are inside the file' in card


def test_it_is_found_by_its_name(release, root, tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    (model,) = list_models(root / 'model-index.yml')
    path = resolve_model(model['Name'], root / 'model-index.yml')
    assert Path(path).read_bytes() == release.path.read_bytes()


# ---- mim --------------------------------------------------------------------------------------


def installed(root, site):
    """Call mim in a process that finds this package installed with a repository's index."""
    pytest.importorskip('mim')
    package = Path(sesim_mmagic.__file__).parent
    (site / 'sesim_mmagic/.mim').mkdir(parents=True)
    for path in package.iterdir():
        if path.name != '.mim':
            (site / 'sesim_mmagic' / path.name).symlink_to(path)
    for path in (root / 'configs', root / 'model-index.yml', package.parent / 'tools'):
        (site / 'sesim_mmagic/.mim' / path.name).symlink_to(path)
    info = site / f'sesim_mmagic-{sesim_mmagic.__version__}.dist-info/METADATA'
    info.parent.mkdir()
    info.write_text(f'Name: sesim_mmagic\nVersion: {sesim_mmagic.__version__}\n')
    env = dict(os.environ, PYTHONPATH=str(site), HOME=str(site), no_proxy='127.0.0.1')

    def call(*arguments):
        run = subprocess.run(
            [sys.executable, '-W', 'ignore', '-m', 'mim', *map(str, arguments)],
            env=env, capture_output=True, text=True, timeout=300, cwd=site,
        )  # fmt: skip
        assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-2000:]
        return run.stdout

    return call


@pytest.fixture(scope='module')
def mim(release, root, tmp_path_factory):
    return installed(root, tmp_path_factory.mktemp('site'))


def test_mim_searches(mim, release):
    found = mim('search', 'sesim_mmagic', '--model', 'fsesim, tiny', '--display-width', '300')
    assert f'config id: {NAME}' in found and release.sha256 in found
    psnr = release.metrics['paired/psnr']
    assert re.search(rf'data, test/paired/psnr\s+{psnr}', found)
    assert NAME not in mim('search', 'sesim_mmagic', '--condition', f'psnr>{psnr + 1}')


def test_mim_downloads_and_tests(mim, release, config, tmp_path):
    mim('download', 'sesim_mmagic', '--config', NAME, '--dest', tmp_path)
    checkpoint = tmp_path / release.path.name
    assert checkpoint.read_bytes() == release.path.read_bytes()
    assert Config.fromfile(tmp_path / f'{NAME}.py').model == Config.fromfile(config).model
    # The config has a moving average, of which the file holds the result alone.
    out = tmp_path / 'metrics.json'
    mim(
        'test', 'sesim_mmagic', f'{NAME}.py', '--checkpoint', checkpoint,
        '--work-dir', tmp_path / 'work', '--out', out,
    )  # fmt: skip
    assert yaml.safe_load(out.read_text()) == pytest.approx(release.metrics, rel=1e-6)


def test_mim_downloads_a_model_that_travels_once_it_has_an_address(server, tmp_path):
    folder, address = server
    package, root = find_index().parent, tmp_path / 'root'
    shutil.copytree(package / 'configs', root / 'configs')
    shutil.copy(package / 'model-index.yml', root)
    for metafile in root.glob('configs/*/metafile.yml'):
        text = metafile.read_text().replace('Weights: models/', f'Weights: {address}/')
        metafile.write_text(text)
    model = list_models(root / 'model-index.yml')[-1]
    file = package / SHIPPED / Path(model['Weights']).name
    shutil.copy(file, folder)
    call = installed(root, tmp_path / 'site')
    call('download', 'sesim_mmagic', '--config', model['Name'], '--dest', tmp_path)
    assert sha256_of(tmp_path / file.name) == model['Metadata']['SHA256']
    settings = Config.fromfile(tmp_path / f'{model["Name"]}.py').model
    assert settings == Config.fromfile(package / model['Config']).model


# ---- files of the index -----------------------------------------------------------------------


def entry_files(root, method, **facts):
    """Write the metafile and index that a model gets; their texts."""
    files = index_files(root, root / f'configs/{method}/a.py', {**FACTS, **facts})
    for path, text in files.items():
        path.write_text(text)
    return files.values()


def test_a_model_replaces_the_one_of_its_name_alone(tmp_path):
    path = tmp_path / 'configs/m/metafile.yml'
    path.parent.mkdir(parents=True)
    path.write_text(
        '# Kept.\n# Too.\nCollections:\n- Name: Own\nModels:\n- Name: z\n  Weights: old\n'
        '- Name: a\n  Weights: other\nLibrary: x\n'
    )
    for _ in range(2):
        text, _ = entry_files(tmp_path, 'm', name='z', weights='new')
    assert text.startswith('# Kept.\n# Too.\nCollections:') and text.count('#') == 2
    content = yaml.safe_load(text)
    assert content['Collections'] == [dict(Name='Own')] and content['Library'] == 'x'
    new, other = content['Models']
    assert other == dict(Name='a', Weights='other')
    assert (new['Name'], new['In Collection'], new['Weights']) == ('z', 'Own', 'new')
    text, _ = entry_files(tmp_path, 'm', name='b')
    assert [model['Name'] for model in yaml.safe_load(text)['Models']] == list('zab')


def test_an_index_lists_each_metafile_once(tmp_path):
    for name in ('b', 'a', 'b'):
        (tmp_path / f'configs/{name}').mkdir(parents=True, exist_ok=True)
        metafile, index = entry_files(tmp_path, name, name=name)
    imports = [f'configs/{name}/metafile.yml' for name in 'ab']
    assert yaml.safe_load(index) == dict(Import=imports)
    # A method without a README has the name of its folder.
    assert yaml.safe_load(metafile)['Collections'] == [dict(Name='b')]


def test_a_name_belongs_to_one_method(tmp_path):
    for name in 'ab':
        (tmp_path / f'configs/{name}').mkdir(parents=True)
    entry_files(tmp_path, 'a', name='x')
    with pytest.raises(ValueError, match=r"configs/a/metafile.yml' has a model 'x'.*--name"):
        entry_files(tmp_path, 'b', name='x')


# ---- content ----------------------------------------------------------------------------------


@pytest.mark.parametrize('build', ['one_sided', 'multi_modal', 'cyclegan'])
def test_models_of_several_domains_are_released_whole(build, tmp_path):
    beside = dict(augmentation=dict(cutout=0.5), more_discriminators=dict(p=TINY_PROJECTED))
    arguments = dict(structure_loss=None, ema=dict(momentum=0.1), **beside)
    model = getattr(tiny_models, build)(**arguments)
    with torch.no_grad():  # the average is another network than the generators
        for parameter in model.generator_ema.module.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    settings = dict(_settings(build), **arguments)
    cfg = Config(dict(default_scope='mmagic', model=settings))
    meta = dict(experiment_name='a', time='20260101', iter=0)
    torch.save(dict(meta=meta, state_dict=model.state_dict()), tmp_path / 'trained.pth')
    trained = init_translator(cfg, tmp_path / 'trained.pth', 'cpu')
    (tmp_path / 'released.pth').write_bytes(serialize(trained, cfg, meta))
    released = init_translator(None, tmp_path / 'released.pth', 'cpu')
    assert released.generator_ema is None and released.discriminators is None
    assert not any(
        'discriminator' in name for name in tiny.load(tmp_path / 'released.pth')['state_dict']
    )
    write_picture(tmp_path / 'p.png', np.random.default_rng(1).integers(0, 256, (32, 40, 3)))
    before = translations(trained, [tmp_path / 'p.png'])
    after = translations(released, [tmp_path / 'p.png'])
    assert len(before) == dict(one_sided=1, multi_modal=6, cyclegan=2)[build]
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def _settings(build):
    """The config that a builder of tests/test_translators/tiny.py builds from."""
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny_models, 'build', found.append)
        getattr(tiny_models, build)()
    return found[0]


def test_a_released_config_names_no_folder_of_this_machine():
    cfg = Config(
        dict(
            model=dict(type='A', ema=dict(momentum=0.1), size=(1, 2)),
            work_dir='/home/me/work',
            load_from='/home/me/a.pth',
            resume=True,
            launcher='slurm',
            data_root='/home/me/data/horses',
            relative='data/horses',
            pipeline=[dict(path='~/x/y.png')],
        )
    )
    text = released_config(cfg)
    assert 'home' not in text and '~' not in text
    found = Config(read_settings(text))
    assert found.model.ema is None and found.model.size == (1, 2)
    assert found.data_root == 'horses' and found.relative == 'data/horses'
    assert found.pipeline[0].path == 'y.png'
    assert not {'work_dir', 'load_from', 'resume', 'launcher'} & set(found)
    assert cfg.model.ema is not None, 'the config that was given stays as it is'


def test_a_config_that_would_say_something_else_as_text_is_not_released():
    """MMEngine writes keys between quotes as they are."""
    for key in ("a'+str(print(1))+'", 'a\\', 'class'):
        with pytest.raises(ValueError, match='more than plain settings'):
            released_config(Config(dict(model=dict(type='A', x={key: 1}))))
    with pytest.raises(ValueError, match='more than plain settings'):
        released_config(Config(dict(model=dict(type='A', rate=float('inf')))))


def test_a_release_that_is_there_stays(
    release, config, work_dir, sample, server, root, monkeypatch
):
    monkeypatch.setattr('sesim_mmagic.apis.release.publish.check_in_fresh_process', lambda *_: None)
    folder, address = server
    options = dict(licence='CC0', config=config, samples=[sample], base_url=f'{address}/')
    before = {path: path.read_bytes() for path in folder.rglob('*') if path.is_file()}
    with pytest.raises(FileExistsError, match='give --overwrite to replace'):
        publish(work_dir, folder, **options)
    assert {path: path.read_bytes() for path in folder.rglob('*') if path.is_file()} == before
    index = (root / 'model-index.yml').read_bytes()
    again = publish(work_dir, folder, **options, limits='Tiny.', overwrite=True)
    assert len(again) == 2 and (root / 'model-index.yml').read_bytes() == index
    assert {path: path.read_bytes() for path in folder.rglob('*') if path.is_file()} == before


def test_the_best_checkpoint_of_a_work_dir_else_the_last(work_dir, tmp_path):
    assert choose_checkpoint(work_dir) == (work_dir / 'iter_2.pth', 'last')
    assert choose_checkpoint(work_dir / 'x.pth') == (work_dir / 'x.pth', 'given')
    (tmp_path / 'best.pth').touch()
    none = dict(key='fid', rule='less', value=None, checkpoint=None, iteration=None)
    best = dict(key='psnr', rule='greater', value=20.5, checkpoint='best.pth', iteration=1)
    (tmp_path / 'results.json').write_text(json.dumps(dict(best=[none, best])))
    assert choose_checkpoint(tmp_path) == (tmp_path / 'best.pth', 'best psnr (20.5)')
    (tmp_path / 'best.pth').unlink()
    with pytest.raises(FileNotFoundError, match='holds no complete checkpoint'):
        choose_checkpoint(tmp_path)


def test_scores_and_resources_are_those_of_the_checkpoint(tmp_path):
    history = [dict(iteration=i, metrics=dict(fid=i / 2, kid=None)) for i in (1, 2)]
    test = dict(split='test', pictures=9, iteration=2)
    (tmp_path / 'results.json').write_text(
        json.dumps(
            dict(
                training=dict(
                    **dict(
                        iterations=2, max_iterations=2, ranks=8, seconds=5400, device='NVIDIA H100'
                    ),
                    **dict(seconds_per_iteration=1, peak_memory_mb=1),
                    memory_of='tensors on the GPU',
                ),
                validation=dict(split='val (held-out)', pictures=4, history=history),
                tests=[
                    dict(test, checkpoint='a.pth', metrics=dict(fid=7.0)),
                    dict(test, checkpoint='b.pth', metrics=dict(fid=8.0, kid=None)),
                    dict(test, checkpoint=None, metrics=dict(fid=9.0)),
                ],
            )
        )
    )
    found = read_scores(tmp_path, tmp_path / 'b.pth', 2)
    assert found == [
        dict(split='val (held-out)', pictures=4, metrics=dict(fid=1.0)),
        dict(split='test', pictures=9, metrics=dict(fid=8.0)),
    ]
    assert read_scores(tmp_path, tmp_path / 'c.pth', 3) == []
    assert read_resources(tmp_path) == '8 x NVIDIA H100, 1.5 hours'
    text = (tmp_path / 'results.json').read_text()
    (tmp_path / 'results.json').write_text(text.replace('5400', '47.3'))
    assert read_resources(tmp_path) == '8 x NVIDIA H100, 0.79 minutes'
    assert read_resources(tmp_path / 'empty') is None


# ---- what is refused --------------------------------------------------------------------------


class Malicious:
    """Unpickled, it makes a folder."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.fixture
def out(tmp_path):
    return tmp_path / 'out'


@pytest.fixture
def unchanged(root, release):
    """The repository is after the test as it was before."""
    files = [path for path in root.rglob('*.yml')]
    before = [path.read_bytes() for path in files]
    yield
    assert [path.read_bytes() for path in files] == before
    assert sorted(root.rglob('*.yml')) == sorted(files)


def refused(error, message, checkpoint, out, **kwargs):
    with pytest.raises(error, match=message):
        publish(checkpoint, out, licence='CC0', **kwargs)
    assert not out.exists()


def test_damaged_and_foreign_checkpoints_are_refused(trained, config, root, out, unchanged):
    folder = out.parent
    bad = folder / 'bad.pth'
    content = trained.read_bytes()
    for cut, message in ((len(content) // 2, 'truncated'), (0, 'not a PyTorch checkpoint')):
        bad.write_bytes(content[:cut])
        refused(ValueError, message, bad, out, config=config, root=root)
    half = len(content) // 2  # torch itself loads such a file
    bad.write_bytes(content[:half] + bytes(99) + content[half + 99 :])
    assert tiny.load(bad)
    refused(ValueError, 'is damaged, its part', bad, out, config=config, root=root)
    torch.save(dict(state_dict=torch.nn.Linear(2, 2).state_dict()), bad)
    refused(ValueError, 'does not hold its config', bad, out)
    whole = tiny.load(trained)
    weights = dict(whole['state_dict'])
    weights['generators.b.model.1.weight'] = weights['generators.b.model.1.weight'] * float('nan')
    torch.save(dict(whole, state_dict=weights), bad)
    refused(ValueError, 'not finite', bad, out, config=config, root=root)
    meta = dict(experiment_name=NAME, time='20260101', iter=1)
    torch.save(dict(meta=meta, state_dict=torch.nn.Linear(2, 2).state_dict()), bad)
    refused(ValueError, 'not one of this OneSidedTranslator', bad, out, config=config, root=root)
    refused(FileNotFoundError, 'does not exist', folder / 'missing.pth', out, config=config)


@pytest.mark.parametrize('legacy', [False, True])
def test_a_malicious_checkpoint_is_not_run(trained, config, out, legacy):
    bad, mark = out.parent / 'bad.pth', out.parent / 'mark'
    content = dict(tiny.load(trained), message_hub=Malicious(mark))
    if legacy:
        bad.write_bytes(pickle.dumps(Malicious(mark), protocol=2))
    else:
        torch.save(content, bad)
    refused(ValueError, 'bad.pth', bad, out, config=config)
    assert not mark.exists()


def test_a_malicious_config_is_not_run(trained, out):
    bad, mark = out.parent / 'bad.pth', out.parent / 'mark'
    content = torch.load(trained, weights_only=True)
    content['meta']['cfg'] += f'\nimport os\nos.mkdir({str(mark)!r})\n'
    torch.save(content, bad)
    refused(ValueError, 'more than plain settings', bad, out)
    assert not mark.exists()


def test_what_is_missing_is_asked_for(trained, config, root, out, tmp_path, unchanged):
    settings = dict(config=config)
    content = dict(torch.load(trained, weights_only=True))
    bare = tmp_path / 'bare.pth'
    torch.save(dict(content, meta=dict(cfg=content['meta']['cfg'])), bare)
    refused(ValueError, 'names no config', bare, out)
    refused(ValueError, "eight digits, got ''.*give it", bare, out, **settings)
    refused(ValueError, "eight digits, got '2026'", trained, out, date='2026', **settings)
    refused(ValueError, 'base address', trained, out, base_url='host/folder', **settings)
    for name in ('a/b', 'a.pth'):
        refused(ValueError, f"name consists of.*'{name}'", trained, out, name=name, **settings)
    refused(FileNotFoundError, 'no.png', trained, out, samples=['no.png'], **settings)
    refused(FileNotFoundError, 'no.py', trained, out, config='no.py')
    # The experiment of the tests has no config of its name.
    refused(ValueError, 'needs its config', trained, out, root=root)
    elsewhere = tmp_path / 'own.py'
    Config.fromfile(config).dump(elsewhere)
    refused(ValueError, 'needs its config', trained, out, root=root, config=elsewhere)
    torch.save(dict(content, meta=dict(content['meta'], experiment_name='../up')), bare)
    refused(ValueError, 'names no config', bare, out)


def test_a_folder_that_cannot_be_written(trained, config, root, tmp_path, unchanged):
    (tmp_path / 'file').touch()
    with pytest.raises(OSError, match='file'):
        publish(trained, tmp_path / 'file/out', licence='CC0', config=config, root=root)


def test_a_full_disk_leaves_nothing(trained, config, root, out, unchanged):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        refused(OSError, 'too large', trained, out, config=config, root=root)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize('moment', ['check_in_fresh_process', 'write_card'])
def test_an_interrupted_run_leaves_nothing(
    trained, config, root, out, unchanged, monkeypatch, moment
):
    seen = []

    def interrupt(*args):
        assert any(out.glob('.publishing-*/*.pth'))
        seen.extend(path.name for path in out.iterdir())
        raise KeyboardInterrupt

    monkeypatch.setattr('sesim_mmagic.apis.release.publish.check_in_fresh_process', lambda *_: None)
    monkeypatch.setattr(f'sesim_mmagic.apis.release.publish.{moment}', interrupt)
    refused(KeyboardInterrupt, None, trained, out, config=config, root=root)
    assert len(seen) == 1 and seen[0].startswith('.publishing-'), (
        'it had begun, nothing had its final name'
    )


def test_the_fresh_process_runs_no_code_and_compares_pictures(release, sample, tmp_path):
    bad, mark = tmp_path / 'bad.pth', tmp_path / 'mark'
    torch.save(dict(meta=Malicious(mark)), bad)
    with pytest.raises(ValueError, match='a fresh process cannot use the file'):
        check_in_fresh_process(bad, [], {})
    assert not mark.exists()

    checkpoint = tmp_path / 'released.pth'
    checkpoint.write_bytes(release.path.read_bytes())
    expected = translations(init_translator(None, checkpoint, 'cpu'), [sample])
    expected['0_b_0'][3, 4, 1] ^= 1
    with pytest.raises(ValueError, match="picture '0_b_0' is another"):
        check_in_fresh_process(checkpoint, [sample], expected)


def test_the_command_line_says_what_is_wrong(capsys, trained, config, tmp_path):
    arguments = (trained, '--out', tmp_path / 'out', '--config', config)
    assert '--licence' in fails(capsys, 'publish_model', *arguments)
    message = fails(capsys, 'publish_model', *arguments, '--licence', 'x', '--date', 'y')
    assert 'eight digits' in message
