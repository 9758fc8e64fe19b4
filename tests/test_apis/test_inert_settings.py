"""Of a config that comes with weights nothing is built, imported, opened or fetched."""

import builtins
import inspect
import os
import socket
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from sesim_mmagic.apis.inert_settings import (
    FULL_NAMES,
    GENERATOR,
    PREPROCESSOR,
    TRAINING_ONLY,
    TRANSLATOR,
    check_inert,
    for_inference,
)
from sesim_mmagic.apis.inference.loading import init_translator
from sesim_mmagic.apis.release.publish import publish
from sesim_mmagic.registry import MODELS
from tests.test_tools.test_command_line import fails, tool
from tests.test_tools.web_demo_models import ONE_SIDED, as_png, picture

RUN = dict(type='os.system', command='touch {mark}')
PICKLE = '{pickle}'
URL = 'http://127.0.0.1:{port}/weights.pth'
NET = ONE_SIDED['generator']
HOST = dict(
    type='CycleGAN',
    default_domain='b',
    reachable_domains=['a', 'b'],
    related_domains=['a', 'b'],
    data_preprocessor=dict(type='DataPreprocessor'),
    generator=dict(type='ResnetGenerator', in_channels=3, out_channels=3, base_channels=4),
)
PRETRAINED = dict(type='Pretrained', checkpoint=URL)


def one_sided(**more):
    return {**ONE_SIDED, **more}


def network(**more):
    return one_sided(generator={**NET, **more})


def mmagic_network(**more):
    return {**HOST, 'generator': {**HOST['generator'], **more}}


# A model's settings each, or a whole config.
HOSTILE = {
    # what a type names is imported and called
    'type': RUN,
    'type of MMEngine': dict(type='mmengine.fileio.load', file=PICKLE),
    'type of torch': dict(type='torch.load', f=PICKLE, weights_only=False),
    'type of the generator': one_sided(generator=RUN),
    'type of the preprocessor': one_sided(data_preprocessor=RUN),
    'type deep in a list': network(init_cfg=[dict(type='Normal'), RUN]),
    'type that is no string': one_sided(generator=dict(type=['os.system'], command='x')),
    'type that is a number': one_sided(generator=dict(type=3)),
    'type that is missing': one_sided(generator=dict(base_channels=4)),
    'type with a trap in its scope': one_sided(generator=dict(NET, type='mmagic.os.system')),
    # parts of a training are left out at the top, and only there
    'a model in the place of a generator': one_sided(
        generator=one_sided(structure_loss=RUN, discriminator=RUN)
    ),
    'a loss inside a generator': network(structure_loss=RUN),
    'a discriminator inside a preprocessor': one_sided(
        data_preprocessor=dict(type='DataPreprocessor', discriminator=RUN)
    ),
    'a registered loss in the place of a generator': one_sided(
        generator=dict(type='sesim_mmagic.FSeSimLoss', feature_net=RUN)
    ),
    # scopes are packages to import
    'scope': one_sided(generator=dict(NET, _scope_='evil_scope')),
    'scope of the model': one_sided(_scope_='evil_scope'),
    'scope in the type': one_sided(generator=dict(NET, type='evil_scope.ResNetBlurGenerator')),
    'default scope': dict(default_scope='evil_scope', model=one_sided()),
    'default scope that is no string': dict(default_scope=['evil_scope'], model=one_sided()),
    # files and addresses
    'a registered type that fetches': one_sided(
        generator=dict(type='sesim_mmagic.VGG16Features', pretrained=URL)
    ),
    'a registered type that unpickles': dict(
        type='SinGAN', test_pkl_data=PICKLE, generator=dict(type='SinGANMultiScaleGenerator')
    ),
    'pretrained': network(pretrained=URL),
    'init_cfg of the generator': network(init_cfg=PRETRAINED),
    'init_cfg of the model': one_sided(init_cfg=PRETRAINED),
    'init_cfg in a list': network(init_cfg=[PRETRAINED]),
    'init_cfg of MMagic': mmagic_network(init_cfg=PRETRAINED),
    # what mmcv looks up by name, a dotted name too
    'norm': mmagic_network(norm_cfg=RUN),
    'argument of a norm': mmagic_network(norm_cfg=dict(type='IN', out=PICKLE)),
    'padding': mmagic_network(padding_mode='evil_scope.module'),
    'activation': mmagic_network(act_cfg=RUN),
    # keys and values of odd kinds
    'a key of two words': one_sided(**{'a key': RUN}),
    'a key that is a number': dict(ONE_SIDED, **{'generator': {3: RUN, 'type': NET['type']}}),
    'delete': network(_delete_=True),
    'base': network(_base_=PICKLE),
    'a setting of a class': one_sided(__class__=RUN),
    'average on another device': one_sided(ema=dict(momentum=0.1, device='evil_scope')),
    'average of another type': one_sided(ema=dict(type='os.system')),
    'keys that other models would share': one_sided(
        data_preprocessor=dict(type='DataPreprocessor', non_image_keys=['img_horse'])
    ),
    # numbers that take the memory or the time
    'blocks without end': network(num_blocks=10**9),
    'halvings without end': network(num_downsamplings=10**6),
    'padding without end': one_sided(size_divisor=10**9),
    'a wide network': network(base_channels=4096),
    'not a number of channels': network(base_channels='4'),
    'a flag of channels': network(base_channels=True),
    'infinity': one_sided(data_preprocessor=dict(type='DataPreprocessor', mean=[1e999] * 3)),
    'no contrast': one_sided(data_preprocessor=dict(type='DataPreprocessor', std=[0, 0, 0])),
    # names become those of files
    'a domain that is a path': one_sided(target_domain='../../x'),
    'a domain of MMagic that is a path': {**HOST, 'related_domains': ['a', 'b', '/etc/x']},
    'no dictionary': one_sided(generator=[NET]),
}
# Built as if they were not there.
HARMLESS = {
    'losses at the top': one_sided(structure_loss=RUN, discriminator=RUN, gan_loss=RUN),
    'types without their package': one_sided(
        type='OneSidedTranslator', generator=dict(NET, type='ResNetBlurGenerator')
    ),
    'compilation': one_sided(compile=dict(backend='evil_scope')),
    'the rest of a config': dict(
        model=one_sided(),
        custom_imports=dict(imports=['evil_scope']),
        custom_hooks=[RUN],
        _base_=PICKLE,
        train_dataloader=dict(dataset=RUN),
        work_dir=PICKLE,
        load_from=URL,
        resume=True,
        visualizer=RUN,
        test_evaluator=[RUN],
    ),
}


@pytest.fixture(scope='module')
def weights():
    with DefaultScope.overwrite_default_scope('mmagic'):
        return MODELS.build(ONE_SIDED).state_dict()


@pytest.fixture
def hostile(tmp_path, weights, monkeypatch):
    """A function that writes a checkpoint with a config, and one that says what was done."""
    mark, pickled = tmp_path / 'mark', tmp_path / 'evil.pkl'
    pickled.write_bytes(b"cos\nsystem\n(S'touch %s'\ntR." % str(mark).encode())
    package = tmp_path / 'packages'
    package.mkdir()
    for name in ('evil_scope', 'OneSidedTranslator', 'ResNetBlurGenerator'):
        (package / f'{name}.py').write_text(f'open({str(mark)!r}, "w")')
    monkeypatch.syspath_prepend(str(package))
    reached = []

    def note(*args, **kwargs):
        reached.append(args)
        raise OSError('not to be reached')

    monkeypatch.setattr(socket.socket, 'connect', note)
    monkeypatch.setattr(os, 'system', note)
    opened = builtins.open

    def watched(file, *args, **kwargs):
        if file == str(pickled):
            note(file)
        return opened(file, *args, **kwargs)

    monkeypatch.setattr(builtins, 'open', watched)

    def write(settings):
        config = settings if 'model' in settings else dict(model=settings)
        text = '\n'.join(f'{key} = {value!r}' for key, value in config.items())
        text = text.replace('{mark}', str(mark)).replace(PICKLE, str(pickled))
        path = tmp_path / 'hostile.pth'
        meta = dict(cfg=text.replace('{port}', '1').replace('inf]', '1e999]'), iter=1)
        meta.update(experiment_name='hostile', time='20260101')
        torch.save(dict(meta=meta, state_dict=weights), path)
        return path

    def nothing_was_done():
        return not reached and not mark.exists()

    return write, nothing_was_done


@pytest.mark.parametrize('name', HOSTILE)
def test_a_hostile_config_is_refused_and_not_run(hostile, name):
    write, nothing_was_done = hostile
    path = write(HOSTILE[name])
    with pytest.raises(ValueError) as error:
        init_translator(None, path, 'cpu')
    assert nothing_was_done()
    assert str(path) in str(error.value) and '\n' not in str(error.value)


@pytest.mark.parametrize('name', HARMLESS)
def test_what_inference_does_not_need_is_left_out(hostile, name):
    write, nothing_was_done = hostile
    assert init_translator(None, write(HARMLESS[name]), 'cpu')
    assert nothing_was_done()


@pytest.mark.parametrize(
    'name', ['a model in the place of a generator', 'default scope', 'init_cfg of the generator']
)
def test_every_entry_refuses(hostile, name, tmp_path, capsys):
    from sesim_mmagic.apis.page import Workshop

    write, nothing_was_done = hostile
    path = write(HOSTILE[name])
    out, source = tmp_path / 'out', tmp_path / 'p.png'
    source.write_bytes(as_png(picture((16, 16))))
    for command, *arguments in (
        ('translate', source, '--model', path, '--out', out),
        ('export', '--model', path, '--format', 'onnx', '--out', out),
        ('publish_model', path, '--licence', 'x', '--out', out),
    ):
        message = fails(capsys, command, *arguments)
        assert 'hostile.pth' in message and 'could run code' in message
    page = Workshop([str(path)], None, 'random', 'cpu', 64, 1000)
    with pytest.raises(ValueError, match='could run code'):
        page.model(*page.models)
    with pytest.raises(ValueError, match='could run code'):
        publish(path, out, licence='x')
    assert nothing_was_done() and not out.exists()


def test_a_generator_of_ones_own_comes_with_its_config(tmp_path, monkeypatch, capsys):
    """Given as a file the config is the user's code: it may import."""
    (tmp_path / 'my_networks.py').write_text(
        'import torch\n'
        'from sesim_mmagic.registry import MODELS\n'
        '@MODELS.register_module(force=True)\n'
        'class MyGenerator(torch.nn.Conv2d):\n'
        '    def __init__(self):\n'
        '        super().__init__(3, 3, 1)\n'
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    config = tmp_path / 'config.py'
    model = one_sided(generator=dict(type='sesim_mmagic.MyGenerator'))
    text = f"custom_imports = dict(imports=['my_networks'])\nmodel = {model!r}\n"
    config.write_text(text)
    with DefaultScope.overwrite_default_scope('mmagic'):
        built = MODELS.build(Config.fromfile(config).model)
    path = tmp_path / 'own.pth'
    torch.save(dict(meta=dict(cfg=text), state_dict=built.state_dict()), path)
    with pytest.raises(ValueError, match=r"MyGenerator'.*give the config"):
        init_translator(None, path, 'cpu')
    (tmp_path / 'p.png').write_bytes(as_png(picture((16, 16))))
    code = tool('translate').main(
        [
            *(str(tmp_path / 'p.png'), '--model', str(path), '--config', str(config)),
            *('--out', str(tmp_path / 'out'), '--device', 'cpu'),
        ]
    )
    assert code in (0, None) and Path(tmp_path, 'out/p.png').is_file()


@pytest.mark.parametrize('table', [TRANSLATOR, GENERATOR, PREPROCESSOR])
def test_the_tables_know_every_argument(table):
    """A new argument has to be entered, or left out for a reason."""
    left_out = {*TRAINING_ONLY, 'input_view', 'output_view'}
    left_out |= {'non_image_keys', 'non_concentate_keys'}  # would change the class itself
    known = set()
    for name in {FULL_NAMES[name] for name in table['type']}:
        known |= _arguments(MODELS.get(name)) - left_out
    assert known == set(table) - {'type'}


def _arguments(kind):
    """Arguments of a class and, as far as it passes them on, of its bases."""
    found = set()
    for base in (base for base in kind.__mro__ if '__init__' in vars(base)):
        parameters = inspect.signature(base.__init__).parameters.values()
        found |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return found - {'self'}


def test_what_is_left_out_is_that_of_training():
    model = Config(dict(model=one_sided(structure_loss=RUN, compile=True))).model
    check_inert(model)
    found = for_inference(model)
    preprocessor = dict(type='mmagic.DataPreprocessor')
    assert found == one_sided(structure_loss=None, compile=False, data_preprocessor=preprocessor)
    assert model.structure_loss == RUN
