"""Types of this package, of MMagic and of MMEngine are found from every default scope."""

import subprocess

import pytest
from mmengine import registry as mmengine_registry
from mmengine.registry import DefaultScope

from sesim_mmagic import compat, registry

# A type of MMagic's and of MMEngine's (where it has one) behind each child registry.
MMAGIC_TYPES = {
    'RUNNERS': ['Runner'],
    'LOOPS': ['MultiValLoop', 'IterBasedTrainLoop'],
    'HOOKS': ['ReduceLRSchedulerHook', 'CheckpointHook'],
    'LOG_PROCESSORS': ['LogProcessor'],
    'OPTIMIZERS': ['Adam'],
    'OPTIM_WRAPPERS': ['OptimWrapper', 'AmpOptimWrapper'],
    'OPTIM_WRAPPER_CONSTRUCTORS': [
        'MultiOptimWrapperConstructor',
        'DefaultOptimWrapperConstructor',
    ],
    'PARAM_SCHEDULERS': ['LinearLrInterval', 'LinearLR'],
    'DATASETS': ['UnpairedImageDataset', 'ConcatDataset'],
    'DATA_SAMPLERS': ['InfiniteSampler'],
    'TRANSFORMS': ['PackInputs', 'KeyMapper', 'RandomFlip'],
    'MODELS': ['CycleGAN', 'Pix2Pix', 'GANLoss', 'ExponentialMovingAverage', 'Conv2d'],
    'MODEL_WRAPPERS': ['MMSeparateDistributedDataParallel', 'MMDistributedDataParallel'],
    'WEIGHT_INITIALIZERS': ['Xavier'],
    'METRICS': ['TransFID', 'DumpResults'],
    'EVALUATORS': ['Evaluator'],
    'VISUALIZERS': ['ConcatImageVisualizer', 'Visualizer'],
    'VISBACKENDS': ['PaviVisBackend', 'LocalVisBackend'],
}


def root(name):
    return getattr(mmengine_registry, {'EVALUATORS': 'EVALUATOR'}.get(name, name))


@pytest.mark.parametrize('scope', ['mmagic', 'sesim_mmagic'])
@pytest.mark.parametrize('name', MMAGIC_TYPES)
def test_host_types_are_found(no_default_scope, scope, name):
    DefaultScope.get_instance('test', scope_name=scope)
    with root(name).switch_scope_and_registry(None) as found_from:
        assert found_from.scope == scope
        for type_name in MMAGIC_TYPES[name]:
            found = found_from.get(type_name)
            assert found is not None and found.__name__.startswith(type_name)


def test_every_host_registry_has_a_child():
    import mmagic.registry as host

    without_parent = {'DIFFUSION_SCHEDULERS'}  # nothing of this package belongs there
    for name in set(host.__all__) - without_parent:
        child = getattr(registry, name)
        assert child.parent is getattr(host, name) and child.scope == 'sesim_mmagic'
        # MMEngine does not import a parent's locations when it climbs to it from a child.
        assert child._locations[0] == child.parent._locations[0]


@pytest.mark.parametrize('scope', ['mmagic', 'sesim_mmagic'])
def test_own_types_are_found_without_custom_imports(no_default_scope, scope):
    DefaultScope.get_instance('test', scope_name=scope)
    with mmengine_registry.MODELS.switch_scope_and_registry(None) as models:
        assert models.get('sesim_mmagic.FSeSimLoss').__module__.startswith('sesim_mmagic.losses')
    if scope == 'sesim_mmagic':
        with mmengine_registry.MODELS.switch_scope_and_registry(None) as models:
            assert models.get('FSeSimLoss').__name__ == 'FSeSimLoss'
            assert models.get('mmagic.CycleGAN').__module__.startswith('mmagic.')


def test_own_types_are_found_from_a_host_that_never_imported_this_package(python, tmp_path):
    """As MMagic's own tools do: MMagic first, this package when its scope is met."""
    script = """
import sys, types
if {lite}:  # MMagic itself needs a full mmcv; this stands for it
    class Operators(types.ModuleType):
        __file__ = 'operators'
        def __getattr__(self, name):
            if name.startswith('__'):
                raise AttributeError(name)
            return lambda *args: None
    sys.modules['mmcv._ext'] = Operators('mmcv._ext')
import numpy
numpy.bool8 = numpy.bool_
from mmengine.registry import MODELS, DefaultScope
DefaultScope.get_instance('test', scope_name='mmagic')
MODELS.build(dict(type='GANLoss', gan_type='lsgan'))
assert 'mmagic.models' in sys.modules and 'sesim_mmagic' not in sys.modules
from mmagic.models.editors.cyclegan import cyclegan_generator as user
broken = user.generation_init_weights
with MODELS.switch_scope_and_registry(None) as models:
    print(models.get('sesim_mmagic.FSeSimLoss').__name__)
from sesim_mmagic import compat
repaired = 'generation_init_weights' in compat.applied
assert (user.generation_init_weights is not broken) == repaired, compat.applied
print(repaired)
"""
    import mmagic.models  # noqa: F401, what this host needs is known once it is imported

    script = script.replace('{lite}', str('mmcv_ext' in compat.applied))
    run = subprocess.run(
        [python, '-c', script], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert run.stdout.split()[-2] == 'FSeSimLoss'
    assert run.stdout.split()[-1] == str('generation_init_weights' in compat.applied)


def test_an_unknown_type_of_this_package_is_not_found(no_default_scope):
    DefaultScope.get_instance('test', scope_name='mmagic')
    with pytest.raises(KeyError, match='NoSuchLoss'):
        mmengine_registry.MODELS.build({'type': 'sesim_mmagic.NoSuchLoss'})


def test_losses_and_networks_need_no_mmagic(python, tmp_path):
    """For a training loop of one's own, MMEngine beside PyTorch is enough."""
    script = """
import sys
missing = 'mmagic', 'mmcv', 'cv2', 'matplotlib', 'scipy', 'timm', 'transformers', 'diffusers'
sys.modules.update(dict.fromkeys(missing))
import torch
from sesim_mmagic.registry import MODELS
vgg = dict(type='sesim_mmagic.VGG16Features', pretrained=None, seed=0, width=0.125)
loss = MODELS.build(dict(type='sesim_mmagic.LSeSimLoss', patch_size=8, feature_net=vgg))
generator = MODELS.build(dict(type='sesim_mmagic.ResNetBlurGenerator', base_channels=4))
source = torch.rand(1, 3, 32, 32)
loss(source, generator(source)).backward()
assert all(parameter.grad is not None for parameter in generator.parameters())
"""
    run = subprocess.run(
        [python, '-c', script], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 0, run.stderr[-3000:]
