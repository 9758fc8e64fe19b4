"""Nothing of a config is read by nobody, and no value makes no sense: said in one line, unbuilt."""

import re
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine import registry
from mmengine.config import Config

from sesim_mmagic.apis import command_line, settings, signatures
from sesim_mmagic.apis.command_line import CommandError
from sesim_mmagic.apis.config_files import load_config, merge_settings, read_config

ROOT = Path(__file__).resolve().parents[2] / 'configs'
KAOKORE = ROOT / 'fsesim/fsesim_resnet-w32_1xb1-4kiters_kaokore128.py'
CONFIGS = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob('[!_]*/*.py'))
HOST = Path(find_spec('mmagic').origin).parent / '.mim/configs'
MMAGIC = [
    'cyclegan/cyclegan_lsgan-resnet-in_1xb1-270kiters_horse2zebra.py',
    'pix2pix/pix2pix_vanilla-unet-bn_1xb1-80kiters_facades.py',
    'edsr/edsr_x2c64b16_1xb16-300k_div2k.py',
    'gca/gca_r34_4xb10-200k_comp1k.py',
    'singan/singan_fish.py',
    'styleganv1/styleganv1_ffhq-256x256_8xb4-25Mimgs.py',
    'basicvsr_pp/basicvsr-pp_c128n25_600k_ntire-decompress-track1.py',
    'deblurganv2/deblurganv2_fpn-mobilenet_1xb1_gopro.py',
    'ttsr/ttsr-rec_x4c64b16_1xb9-200k_CUFED.py',
    'fastcomposer/fastcomposer_8xb16_FFHQ.py',
]
MUNIT = ROOT / 'munit/munit_adain_1xb1-1000kiters_edges2handbags.py'
CYCLEGAN = ROOT / 'cyclegan/cyclegan-fsesim_resnet-w24_1xb4-500iters_shapes64.py'


def load(config, *options):
    arguments = vars(command_line.create_parser('').parse_args([]))
    arguments.update(config=str(config), cfg_options=list(options))
    return load_config(SimpleNamespace(**arguments))


@pytest.fixture
def derived(tmp_path):
    """A function that writes a config derived from another."""

    def write(text, base=KAOKORE, name='derived.py'):
        path = tmp_path / name
        path.write_text((f'_base_ = {str(base)!r}\n' if base else '') + text)
        return path

    return write


@pytest.mark.parametrize('path', CONFIGS)
def test_configs_of_the_repository_are_right(path):
    cfg = read_config(ROOT / path)
    for part in ('train', 'val', 'test'):  # a leaf for pictures of one's own names none
        if 'A' in cfg[f'{part}_dataloader'].dataset:
            cfg[f'{part}_dataloader'].dataset.update(A='a.png', B='b.png')
    settings.check_components(cfg)


@pytest.mark.parametrize(
    'option, message',
    [
        ('load_form=x', 'nothing reads load_form: did you mean load_from'),
        ('log_levl=INFO', 'nothing reads log_levl: did you mean log_level'),
        ('pack.A=3', 'set train_dataloader.dataset.pipeline.10, val_'),
        ('train_cfg.max_iter=4', 'has no argument max_iter: did you mean max_iters'),
        ('optim_wrapper.generators.optimizer.l=1', 'Adam has no argument l: did you mean lr'),
        ('train_dataloader.batchsize=2', 'no argument batchsize: did you mean batch_size'),
        ('default_hooks.checkpoint.intervall=5', 'no argument intervall: did you mean interval'),
        ('default_hooks.checkpiont.interval=5', 'has no type: did you mean checkpoint'),
        (
            'model.structure_loss.num_patchs=3',
            'model.structure_loss.num_patchs: FSeSimLoss has no argument num_patchs: did you mean '
            'num_patches',
        ),
        (
            'model.more_discriminators.a.network.type=sesim_mmagic.ProjectedDiscriminato',
            'model.more_discriminators.a.network: there is no .* mean sesim_mmagic.Projected',
        ),
        ('model.struct_loss.num_patches=3', 'model.struct_loss: .* did you mean structure_loss'),
        ('test_evaluator.0.targt_domain=a', 'did you mean target_domain'),
        ('val_dataloader.dataset.heldout=3', 'did you mean held_out'),
        ('randomness.sed=3', 'randomness has no argument sed: did you mean seed'),
        ('env_cfg.mp_cfg.start_method=fork', 'no argument start_method'),
        ('model.gan_loss.gan_typ=x', 'model.gan_loss.gan_typ: GANLoss has no'),
        (
            'test_evaluator.interval=3',
            'test_evaluator is a list of 1 and has no interval; set it as a whole',
        ),
        # Of MMEngine's and MMagic's metrics, and nothing of it would happen here.
        ('test_evaluator.0.collect_device=gpu', 'PairedScores has no argument collect_device'),
        ('test_evaluator.0.scaling=100', 'PairedScores has no argument scaling'),
        ('test_evaluator.17.interval=3', 'test_evaluator is a list of 1 and has no 17'),
        ('custom_hooks.interval=3', 'custom_hooks must be .*list.*, got'),
        ('custom_hooks.0.interval=3', 'custom_hooks is None and has no 0'),
        ('log_level.x=3', "log_level is 'INFO' and has no x"),
        ('model.structure_loss.layers.0=relu1_1', 'layers is .* and has no 0; set it as a whole'),
        (
            'model.structure_loss.type=sesim_mmagic.FSeSimLos',
            'there is no sesim_mmagic.FSeSimLos: did you mean sesim_mmagic.FSeSimLoss',
        ),
        ('model.discriminator.type=PatchDiscriminatr', 'did you mean PatchDiscriminator'),
        ('model.type=5', 'model.type must be the name of a component, got 5'),
    ],
)
def test_options_that_change_nothing_or_do_not_exist(option, message):
    with pytest.raises(ValueError, match=message):
        load(KAOKORE, option)


LINEAR = dict(type='LinearLR', by_epoch=False)
BY_NAME = dict(generators=LINEAR, discriminators=[LINEAR])


@pytest.mark.parametrize(
    'schedules, message',
    [
        (BY_NAME, None),
        (dict(generators=LINEAR), 'param_scheduler lacks discriminators: one for each optimizer'),
        (
            dict(BY_NAME, discriminator=LINEAR),
            'r.discriminator is of .* did you mean discriminators',
        ),
        (dict(BY_NAME, begin=3), 'a schedule for each optimizer: set generators.begin in it'),
        (
            dict(BY_NAME, **LINEAR),
            'one schedule and has others for discriminators, generators: add',
        ),
        (dict(begin=3), 'lacks discriminators'),
    ],
)
def test_schedules_by_name_are_one_for_each_optimizer(schedules, message):
    cfg = read_config(KAOKORE)
    cfg.param_scheduler = schedules
    with pytest.raises(ValueError, match=message) if message else nullcontext():
        settings.check_components(cfg)


def test_schedules_by_name_of_other_optimizers():
    """One optimizer has no names, and a constructor of others may have any."""
    cfg = read_config(KAOKORE)
    cfg.param_scheduler = {'generators_0': LINEAR}
    cfg.optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3))
    with pytest.raises(ValueError, match='one schedule, or a list, for the one optimizer'):
        settings.check_components(cfg)
    cfg.optim_wrapper = dict(
        constructor='PGGANOptimWrapperConstructor', reset_optim_for_new_scale=0
    )
    settings.check_components(cfg)


def test_right_options_are_taken():
    cfg = load(
        KAOKORE, 'model.structure_loss.distance=l1', 'test_evaluator.0.prefix=mine',
        'default_hooks.checkpoint.save_best=psnr', 'optim_wrapper.generators.clip_grad.max_norm=1',
        'val_dataloader.dataset.pipeline.0.key=img_A', 'experiment_name=mine', 'compile=True',
    )  # fmt: skip
    assert cfg.model.structure_loss.distance == 'l1' and cfg.test_evaluator[0].prefix == 'mine'


def test_settings_can_be_put_into_a_second_config():
    settings = {'param_scheduler': dict(_delete_=True, generators=dict(type='ConstantLR'))}
    for _ in range(2):
        cfg = read_config(KAOKORE)
        merge_settings(cfg, settings, 'settings')
        assert cfg.param_scheduler == {'generators': {'type': 'ConstantLR'}}


@pytest.mark.parametrize(
    'text, message',
    [
        ("pack = dict(A='a')", 'pack is read when .* set train_dataloader.dataset.pipeline.10'),
        ('test_pipeline = []', 'set val_dataloader.dataset.pipeline, test_dataloader'),
        ("load_form = 'x.pth'", 'derived.py.: nothing reads load_form: did you mean load_from'),
        ('unused = [1, 2]', 'nothing reads unused'),
        ('model = dict(structure_loss=dict(nm_patches=3))', 'did you mean num_patches'),
    ],
)
def test_derived_files_that_change_nothing(derived, text, message):
    with pytest.raises(ValueError, match=message):
        load(derived(text))


def folders(cfg):
    return [cfg[f'{part}_dataloader'].dataset.data_root for part in ('train', 'val', 'test')]


def schedule(cfg):
    return cfg.train_cfg.max_iters, cfg.param_scheduler.begin, cfg.param_scheduler.end


def test_data_root_and_max_iters_go_where_they_belong(derived):
    old = ['data/kaokore_sketch'] * 3
    given = load(KAOKORE, 'data_root=/mine', 'max_iters=40')
    assert folders(given) == ['/mine'] * 3 and schedule(given) == (40, 20, 40)
    file = derived("data_root = '/mine'\nmax_iters = 40")
    assert folders(load(file)) == ['/mine'] * 3 and schedule(load(file)) == (40, 20, 40)
    # A file between, an option over a file, and what is set by itself.
    leaf = derived('max_iters = 8', base=file, name='leaf.py')
    assert folders(load(leaf)) == ['/mine'] * 3 and schedule(load(leaf)) == (8, 4, 8)
    assert folders(load(leaf, 'data_root=/x')) == ['/x'] * 3
    text = "data_root = '/mine'\ntest_dataloader = dict(dataset=dict(data_root='/other'))"
    assert folders(load(derived(text))) == ['/mine', '/mine', '/other']
    assert schedule(load(derived('train_cfg = dict(max_iters=40)'))) == (40, 2000, 4000)
    assert folders(load(KAOKORE)) == old and schedule(load(KAOKORE)) == (4000, 2000, 4000)
    assert schedule(load(KAOKORE, 'max_iters=1')) == (1, 0, 1)
    several = load(MUNIT, 'max_iters=1000').param_scheduler
    assert (several.step_size, several.end) == (100, 1000)


@pytest.mark.parametrize('option', ['data_root=3', 'max_iters=0', 'max_iters=x', 'max_iters=2.5'])
def test_data_root_and_max_iters_that_make_no_sense(option):
    with pytest.raises(ValueError, match=f'{option.partition("=")[0]} must be'):
        load(KAOKORE, option)


@pytest.mark.parametrize(
    'text',
    [
        'size = 3\nmodel = dict(buffer_size=size)',
        "data_root = '/x'\ntest_dataloader = dict(dataset=dict(data_root=data_root))",
        "source, target = 'a', 'b'\npack = dict(type='sesim_mmagic.PackDomains', A=source, B="
        'target)\ntest_dataloader = dict(dataset=dict(pipeline=[pack]))',
        "data_root = 'data/kaokore_sketch'",  # as it was
        'for step in (1, 2):\n    times = step\nmodel = dict(buffer_size=times)',
    ],
)
def test_variables_that_their_file_reads(derived, text):
    load(derived(text))


def test_variables_that_a_derived_file_reads(derived):
    middle = derived('mine = 7', base=None, name='middle.py')
    bases = [str(KAOKORE), str(middle)]
    leaf = f'_base_ = {bases}\nmodel = dict(buffer_size=_base_.mine)'
    assert load(derived(leaf, base=None)).model.buffer_size == 7
    leaf = f'_base_ = {bases}\nmodel = dict(buffer_size={{{{_base_.mine}}}})'
    assert load(derived(leaf, base=None)).model.buffer_size == 7


def test_a_config_that_mmengine_wrote(tmp_path):
    """It holds all variables of its files; one that is changed there changes nothing."""
    path = tmp_path / 'written.py'
    Config.fromfile(KAOKORE).dump(path)
    text = path.read_text() + 'steps_per_epoch = 1067\n'  # others were computed of it
    path.write_text(text)
    load(path)
    path.write_text(re.sub(r'^data_root.*', "data_root = '/mine'", text, count=1, flags=re.M))
    with pytest.raises(ValueError, match='data_root is read .* set .*train_dataloader.dataset'):
        load(path)


@pytest.mark.parametrize(
    'text, message',
    [
        ('x = [][1]', 'IndexError'),
        ('model = dict(', 'SyntaxError'),
        ("_base_ = 'nowhere.py'", 'nowhere.py'),
        ('model = undefined', "NameError: name 'undefined' is not defined"),
    ],
)
def test_files_that_cannot_be_read(derived, text, message):
    with pytest.raises(CommandError, match=message) as error:
        load(derived(text, base=None))
    assert '\n' not in str(error.value) and str(error.value).startswith("config '")


class Parent:
    def __init__(self, old: int = 0) -> None: ...


class Child(Parent):
    def __init__(self, new: int = 0, **kwargs) -> None:
        super().__init__(**{'old': 1, **kwargs})


class Taking(Parent):
    def __init__(self, new: int = 0, **kwargs) -> None:
        self.other = kwargs.pop('other', 1)
        super().__init__(**kwargs)


class Swallowing(Parent):
    def __init__(self, new: int = 0, **kwargs) -> None: ...


class Unknown(Parent):
    def __init__(self, **kwargs) -> None:
        vars(self).update(kwargs)


@pytest.mark.parametrize(
    'component, names',
    [
        (Parent, {'old'}),
        (Child, {'old', 'new'}),
        (Taking, None),
        (Swallowing, {'new'}),
        (Unknown, None),
        (lambda a, *, b=1: None, {'a', 'b'}),
        (lambda **kwargs: None, None),
    ],
)
def test_arguments_are_followed_to_the_parent(component, names):
    accepted = signatures.accepted_arguments(component)
    assert names == (None if accepted is None else set(accepted))


@pytest.mark.parametrize('path', MMAGIC)
def test_configs_of_mmagic_are_not_refused(path):
    """They have variables that nothing reads, names under ``type`` and lists of evaluators."""
    load(HOST / path)


@pytest.mark.parametrize(
    'text',
    [
        'resume = None',
        "test_evaluator = [dict(type='Evaluator', metrics=dict(type='PSNR'))]",
        "model = dict(generator=dict(init_cfg=[dict(type='Xavier', layer='Conv2d')]))",
        "custom_hooks = [dict(type='ProfilerHook', on_trace_ready=dict(type='log_trace'))]",
        'train_cfg = dict(_delete_=True, by_epoch=False, max_iters=3)',
        'train_dataloader = dict(sampler=None)',
        "train_pipeline = [dict(type='RandomChoice', transforms=[[], []], prob=[0.5, 0.5])]\n"
        'train_dataloader = dict(dataset=dict(pipeline=train_pipeline))',
        "optim_wrapper = dict(constructor='PGGANOptimWrapperConstructor', schedule=dict(a=1))",
        # All places of a variable are set as well.
        'max_iters = 5\ntrain_cfg = dict(max_iters=5)\nparam_scheduler = dict(end=5)',
    ],
)
def test_unusual_settings_that_are_right(derived, text):
    load(derived(text))


class Anything:
    """A user's component, whose arguments may be anything."""

    def __new__(cls, *args, **kwargs):
        return object.__new__(cls)

    def __init__(self, things):
        self.things = things


class Named:
    """The same, with names that are not this package's."""

    def __init__(self, things):
        self.things = things


@pytest.mark.parametrize('kind, arguments', [(Anything, dict(a=1)), (Named, dict(things=1))])
def test_arguments_of_a_users_component(kind, arguments):
    arguments['things'] = dict(type='NameOfSomething', size=3)
    config = dict(type=kind, **arguments)
    assert not list(signatures.wrong_components(config, 'model', registry.MODELS, 'mmagic'))
    config = dict(type=Named, wrong=3)
    assert list(signatures.wrong_components(config, 'model', registry.MODELS, 'mmagic'))
