"""One training step of the authors' own code, which is called and not part of this repository.

Their model comes from their options classes with the settings of their training script: spatial
loss of weight 10 on the layers 4, 7, 9, LSGAN (in single-image mode the non-saturating loss),
everything else as they default it. It is prepared as their train.py does: one pass that depends on
the data, schedulers, data parallelism on a GPU.
"""

import importlib.util
import sys
import tempfile
import types
from pathlib import Path

import torch

MODES = {
    'fixed': ('--patch_size', '64'),
    'learned': ('--patch_size', '32', '--learned_attn'),
}
# Their packages import these to read data and to write pages; a training step calls none.
UNUSED = ('dominate', 'h5py', 'visdom')


class ReferenceStep:
    """The authors' SCModel, or SinSCModel for single images, on random pictures.

    Args:
        spec (dict): ``reference`` (folder of their code), ``mode`` (see ``MODES``),
            ``single_image``, ``augmented`` (whether the learned mode sees augmented views),
            ``size``, ``batch`` and ``device``.
    """

    def __init__(self, spec):
        self.spec = spec
        sys.path.insert(0, str(spec['reference']))
        stand_in_for_unused()
        draw_vgg16_weights()
        self.options = read_options(spec)
        from models import create_model

        self.model = create_model(self.options)

    def start(self):
        """What their train.py does between building the model and the first step."""
        self.model.data_dependent_initialize(self.data())
        self.model.setup(self.options)
        self.model.parallelize()

    def reference(self):
        """The model whose multiply-adds are counted: itself."""
        return self

    def data(self):
        """A batch as their data loader gives it: floats in [-1, 1] on the CPU."""
        shape = (self.spec['batch'], 3, self.spec['size'], self.spec['size'])
        keys = ('A', 'B', 'A_aug', 'B_aug') if self.spec['augmented'] else ('A', 'B')
        paths = {f'{key}_paths': [''] * self.spec['batch'] for key in 'AB'}
        return {**{key: torch.rand(shape) * 2 - 1 for key in keys}, **paths}

    def step(self, data):
        """One step of training on a batch."""
        self.model.set_input(data)
        self.model.optimize_parameters()

    def parts(self):
        """Modules by what they are in the step."""
        parts = {
            'generator': [self.model.netG],
            'discriminator': [self.model.netD],
            'VGG16': [self.model.netPre],
        }
        if self.spec['mode'] == 'learned':
            parts['learned layers'] = [self.model.netF]
        return parts


def reference_loss(folder, ours):
    """The authors' loss of the generator, as a function of two lists of features.

    Args:
        folder (str): Folder of their code.
        ours (FSeSimLoss): The settings; an ``LSeSimLoss`` gives its heads too.

    Returns:
        Callable: Like ``ours.compare`` with a loss weight of 1.
    """
    sys.path.insert(0, str(folder))
    stand_in_for_unused()
    from models.losses import SpatialCorrelativeLoss

    heads = getattr(ours, 'heads', None)
    loss = SpatialCorrelativeLoss(
        ours.distance, ours.num_patches, ours.patch_size, ours.normalize, heads is not None
    )
    for name, head in (heads or {}).items():
        setattr(loss, name, head.requires_grad_(False))
    loss.conv_init = True

    def compare(source, translated):
        pairs = zip(source, translated, strict=True)
        return torch.stack([loss.loss(*pair, None, i) for i, pair in enumerate(pairs)]).mean()

    return compare


def stand_in_for_unused():
    """Let their packages import what a training step does not call."""
    for name in UNUSED:
        if name not in sys.modules and importlib.util.find_spec(name) is None:
            sys.modules[name] = types.ModuleType(name)


def draw_vgg16_weights():
    """Let torchvision, in this process, draw VGG16's weights where it is asked to download them."""
    import torchvision

    vgg16 = torchvision.models.vgg16
    torchvision.models.vgg16 = lambda *args, **kwargs: vgg16(weights=None)


def read_options(spec):
    """Their options, parsed by their own classes from a command line."""
    from options.train_options import TrainOptions

    # They write their options into a folder, which nobody wants.
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            '--model': 'sinsc' if spec['single_image'] else 'sc',
            '--dataroot': folder,
            '--checkpoints_dir': folder,
            '--gpu_ids': 0 if spec['device'] == 'cuda' else -1,
            '--batch_size': spec['batch'],
            '--crop_size': spec['size'],
            '--lambda_spatial': 10,
            '--attn_layers': '4,7,9',
            '--loss_mode': 'cos',
            '--gan_mode': 'nonsaturating' if spec['single_image'] else 'lsgan',
        }
        argv = [str(word) for setting in settings.items() for word in setting]
        argv += ['--augment'] * spec['augmented']
        sys.argv = ['train.py', *argv, *MODES[spec['mode']]]
        return TrainOptions().parse()


def is_reference(folder):
    """Whether a folder looks like the root of the authors' code."""
    return Path(folder, 'models', 'sc_model.py').is_file()
