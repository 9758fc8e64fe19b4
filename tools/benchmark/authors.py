"""The authors' own training step and loss, which are called and not part of this repository.

Their model comes from their options classes with the settings of their training script: spatial
loss of weight 10 on the layers 4, 7, 9, LSGAN (in single-image mode the non-saturating loss),
everything else as they default it. It is prepared as their train.py does: one pass that depends on
the data, schedulers, data parallelism on a GPU.
"""

import importlib.util
import sys
import tempfile
import types
from collections.abc import Callable
from typing import Any

import torch
import torchvision
from steps import Step
from torch import Tensor, nn

# Their packages import these to read data and to write pages; a training step calls none.
UNUSED = ('dominate', 'h5py', 'visdom')


class AuthorsStep(Step):
    """The authors' SCModel, or SinSCModel for single images, on random pictures.

    Args:
        spec (dict): ``reference`` (folder of their code), ``mode`` ('fixed' or 'learned'),
            ``single_image``, ``augmented`` (whether the learned mode sees augmented views),
            ``autocast`` (whether it computes in bfloat16 what is safe to), ``size`` and ``batch``,
            and what every step takes.
    """

    def __init__(self, spec: dict) -> None:
        super().__init__(spec)
        import_from(spec['reference'])
        # Where they ask for weights to be downloaded, random ones are drawn.
        vgg16 = torchvision.models.vgg16
        torchvision.models.vgg16 = lambda *args, **kwargs: vgg16(weights=None)
        from models import create_model

        self.options = read_options(spec)
        self.model = create_model(self.options)

    def start(self) -> None:
        """What their train.py does between building the model and the first step."""
        self.model.data_dependent_initialize(self.data())
        self.model.setup(self.options)
        self.model.parallelize()

    def data(self) -> dict:
        """A batch as their data loader gives it: floats in [-1, 1] on the CPU."""
        shape = (self.spec['batch'], 3, self.spec['size'], self.spec['size'])
        keys = ('A', 'B', 'A_aug', 'B_aug') if self.spec['augmented'] else ('A', 'B')
        paths = {f'{key}_paths': [''] * self.spec['batch'] for key in 'AB'}
        return {**{key: torch.rand(shape) * 2 - 1 for key in keys}, **paths}

    def step(self, data: dict) -> None:
        """One step of training on a batch."""
        self.model.set_input(data)
        with torch.autocast(self.spec['device'], torch.bfloat16, self.spec['autocast']):
            self.model.optimize_parameters()

    def parts(self) -> dict[str, nn.Module]:
        """Modules by what they are in the step."""
        names = {'generators': 'netG', 'discriminators': 'netD', 'features': 'netPre'}
        if self.spec['mode'] == 'learned':
            names['structure_loss'] = 'netF'
        return {part: getattr(self.model, name) for part, name in names.items()}


def authors_loss(folder: str, ours: Any) -> Callable:
    """The authors' loss of the generator, as a function of two lists of features.

    Args:
        folder (str): Folder of their code.
        ours (FSeSimLoss): The settings; an ``LSeSimLoss`` gives its heads too.

    Returns:
        Callable: Like ``ours.compare`` with a loss weight of 1.
    """
    import_from(folder)
    from models.losses import SpatialCorrelativeLoss

    heads = getattr(ours, 'heads', None)
    settings = ours.distance, ours.num_patches, ours.patch_size, ours.normalize
    loss = SpatialCorrelativeLoss(*settings, heads is not None)
    for name, head in (heads or {}).items():
        setattr(loss, name, head.requires_grad_(False))
    loss.conv_init = True

    def compare(source: list[Tensor], translated: list[Tensor]) -> Tensor:
        pairs = zip(source, translated, strict=True)
        return torch.stack([loss.loss(*pair, None, i) for i, pair in enumerate(pairs)]).mean()

    return compare


def import_from(folder: str) -> None:
    """Let their packages be imported, without those that a training step does not call."""
    sys.path.insert(0, folder)  # they import each other by names of their root
    for name in UNUSED:
        if name not in sys.modules and importlib.util.find_spec(name) is None:
            sys.modules[name] = types.ModuleType(name)


def read_options(spec: dict) -> Any:
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
            '--patch_size': 32 if spec['mode'] == 'learned' else 64,
        }
        argv = [str(word) for setting in settings.items() for word in setting]
        argv += ['--learned_attn'] * (spec['mode'] == 'learned')
        sys.argv = ['train.py', *argv, *['--augment'] * spec['augmented']]
        return TrainOptions().parse()
