"""The examples of the guide: what its pages quote or link is what runs here."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from sesim_mmagic.apis import init_translator, launch
from tests.test_apis import inference
from tests.test_docs import markdown
from tests.test_docs.markdown import ROOT

GUIDE = ROOT / 'docs/guide'
EXAMPLES = GUIDE / 'examples'
if not GUIDE.is_dir():
    pytest.skip('the guide is not here', allow_module_level=True)
PAGES = {
    'gradient_field.py': 'new_structure_loss.md',
    'gradient_field_shapes64.py': 'new_structure_loss.md',
    'test_gradient_field.py': 'new_structure_loss.md',
    'own_data.py': 'own_data.md',
    'own_data_cpu.py': 'own_data.md',
    'run_onnx.py': 'using_models.md',
    'translate_pictures.py': 'using_models.md',
}
LINKED = {'own_data_cpu.py', 'run_onnx.py', 'test_gradient_field.py'}


@pytest.fixture
def on_path(monkeypatch):
    """The examples can be imported, as with PYTHONPATH=docs/guide/examples."""
    monkeypatch.syspath_prepend(str(EXAMPLES))


def train(cfg, work_dir, iterations=2, **options):
    """A few iterations as tools/train.py trains them; their logs, and the runner."""
    cfg.merge_from_dict({key.replace('__', '.'): value for key, value in options.items()})
    cfg.work_dir = str(work_dir)
    cfg.experiment_name = f'guide_{Path(cfg.filename).stem}_{iterations}'
    cfg.model.generator.update(base_channels=4, num_blocks=1)
    cfg.model.discriminator.base_channels = 4
    cfg.train_cfg.max_iters = cfg.train_cfg.val_interval = iterations
    for hook in ('checkpoint', 'fixed_inputs'):
        cfg.default_hooks[hook].interval = iterations
    runner = launch.train(cfg)
    return runner.message_hub.log_scalars, runner


def test_every_example_is_on_a_page():
    assert {path.name for path in EXAMPLES.glob('*.py')} == set(PAGES)


@pytest.mark.parametrize('name', PAGES)
def test_pages_quote_the_files_or_link_them(name):
    page = (GUIDE / PAGES[name]).read_text(encoding='utf-8')
    if name in LINKED:
        assert f'examples/{name}' in markdown.links(page)
    else:
        assert (EXAMPLES / name).read_text(encoding='utf-8') in markdown.blocks(page, 'python')


def test_a_new_loss_trains(on_path, picture_folders, tmp_path):
    data = picture_folders(('trainA', 'trainB', 'valA', 'valB'), count=4, size=(32, 32))
    cfg = Config.fromfile(EXAMPLES / 'gradient_field_shapes64.py')
    logs, runner = train(
        cfg,
        tmp_path / 'work',
        train_dataloader__dataset__data_root=str(data),
        val_dataloader__dataset__data_root=str(data),
    )
    assert type(runner.model.structure_loss).__name__ == 'GradientFieldLoss'
    losses = logs['train/loss_structure'].data[0]
    assert len(losses) == 2 and np.isfinite(losses).all() and min(losses) > 0
    assert (tmp_path / 'work/iter_2.pth').is_file()


def test_a_new_loss_reaches_the_generator(on_path, picture_folders, tmp_path):
    """With the loss alone the edges of the translation become those of the source."""
    data = picture_folders(('trainA', 'trainB', 'valA', 'valB'), count=4, size=(32, 32))
    cfg = Config.fromfile(EXAMPLES / 'gradient_field_shapes64.py')
    logs, _ = train(
        cfg,
        tmp_path / 'work',
        iterations=25,
        train_dataloader__dataset__data_root=str(data),
        val_dataloader__dataset__data_root=str(data),
        model__gan_loss__loss_weight=0.0,
    )
    losses = logs['train/loss_structure'].data[0]
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])


@pytest.mark.parametrize('name', ['own_data', 'own_data_cpu'])
def test_configs_of_own_data_train(picture_folders, tmp_path, name):
    data = picture_folders(('trainA', 'trainB', 'testA', 'testB'), count=8, size=(40, 50))
    Image.new('L', (60, 44)).save(data / 'trainA/grey.png')  # any mode and size
    cfg = Config.fromfile(EXAMPLES / f'{name}.py')
    assert cfg.test_dataloader.dataset.data_root == 'data/mine'
    assert cfg.test_dataloader.dataset.split == 'test'
    feature_net = dict(pretrained=None, seed=0, width=0.125)
    loaders = {
        f'{part}_dataloader__{key}': value
        for part in ('train', 'val')
        for key, value in dict(num_workers=0, dataset=dict(data_root=str(data), held_out=2)).items()
    }
    cfg.test_dataloader.num_workers = 0
    cfg.test_dataloader.dataset.data_root = str(data)
    for metric in [*cfg.val_evaluator, *cfg.test_evaluator]:
        if name == 'own_data_cpu':  # needs no network as it is
            continue
        # Inception is fetched.
        metric.feature_net = dict(
            type='sesim_mmagic.PooledFeatures',
            network=dict(type='sesim_mmagic.VGG16Features', layers=('relu1_2',), **feature_net),
        )
        metric.num_neighbours = 2
        cfg.default_hooks.checkpoint.save_best = 'distribution/kid_vgg16_random'
    if name == 'own_data':  # VGG16's weights are fetched
        loaders['model__structure_loss__feature_net'] = feature_net
    logs, runner = train(cfg, tmp_path / 'work', **loaders)
    assert {'train/loss_gan_d', 'train/loss_gan_g', 'train/loss_structure'} <= set(logs)
    assert runner.model.source_domain == 'cloudy' and runner.model.target_domain == 'sunny'
    best = 'best_distribution_kid_vgg16_random_iter_2.pth' if cfg.val_evaluator else 'iter_2.pth'
    weights = torch.load(tmp_path / 'work' / best, map_location='cpu', weights_only=True)
    assert any(key.startswith('generators.sunny.') for key in weights['state_dict'])
    assert list((tmp_path / 'work').rglob('fixed_inputs_2.png')), 'pictures of the training'

    cfg.load_from = str(tmp_path / 'work' / best)
    cfg.work_dir = str(tmp_path / 'test')
    launch.test(cfg, out=str(tmp_path / 'scores.json'))
    scores = json.loads((tmp_path / 'scores.json').read_text())
    names = ('fid', 'kid', 'kid_std', 'density', 'coverage')
    assert set(scores) == {f'distribution/{score}_vgg16_random' for score in names}
    assert len(list((tmp_path / 'test/test/translations/sunny').glob('*.png'))) == 8


@pytest.fixture
def released(tmp_path):
    """A checkpoint that holds its config, a folder of pictures, and their translations, RGB."""
    checkpoint = inference.save(tmp_path / 'model.pth', inference.build())
    (tmp_path / 'photos').mkdir()
    for seed in range(2):
        picture = inference.picture(23, 30, seed)
        Image.fromarray(picture[..., ::-1]).save(tmp_path / f'photos/{seed}.png')
    model = init_translator(None, checkpoint, 'cpu')
    expected = [t[..., ::-1] for t in inference.translated(model, tmp_path / 'photos')]
    return checkpoint, tmp_path / 'photos', expected


def test_translating_from_python(on_path, released, tmp_path, capsys):
    import translate_pictures

    checkpoint, folder, expected = released
    translate_pictures.main(str(checkpoint), str(folder), str(tmp_path / 'out'))
    for number, picture in enumerate(expected):
        found = np.asarray(Image.open(tmp_path / f'out/{number}.png'))
        assert np.array_equal(found, picture)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == '(23, 30, 3)' and sum('translated' in line for line in lines) == 2


def test_an_exported_model_without_pytorch(on_path, tmp_path):
    pytest.importorskip('onnxruntime')
    pytest.importorskip('onnx')
    import run_onnx

    from sesim_mmagic.apis.export.exporter import export_translator

    model = inference.build(inference.config(inference.STYLED, 'MultiModalTranslator'))
    style = np.random.default_rng(5).standard_normal((1, model.style_channels), np.float32)
    picture = inference.picture(23, 30)
    ((expected,),) = inference.translated(model, picture, styles=torch.from_numpy(style))
    Image.fromarray(picture[..., ::-1]).save(tmp_path / 'in.png')
    export_translator(model, tmp_path / 'model.onnx', 'onnx')
    run_onnx.main(str(tmp_path / 'model.onnx'), tmp_path / 'in.png', tmp_path / 'out.png', '5')
    found = np.asarray(Image.open(tmp_path / 'out.png')).astype(int)[..., ::-1]
    assert np.abs(found - expected).max() <= 1  # a value between two levels may go either way
