"""Networks as the published files have them, from PyTorch's own layers, numbered as there.

Blur kernels are buffers of the authors' names here; values are those of reference tables.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tests.golden import field

LISTED = Path(__file__).with_name('published_tensors.txt')
DOWN = np.outer([1, 2, 1], [1, 2, 1]) / 16
UP = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64


def listed(name):
    """Shapes by name of one published file, in its order."""
    section = LISTED.read_text().split(f'[{name}]\n')[1].split('\n\n')[0]
    rows = (line.split() for line in section.strip().splitlines())
    return {tensor: tuple(map(int, shape.split('x'))) for tensor, shape in rows}


def is_constant(name):
    return name.endswith(('filt', 'kernel'))


def constant(name, shape):
    """Blur kernel by what it does: four taps in a ResNet double, in StyledConv as well."""
    doubles = '.conv.blur.' in name or (name.endswith('filt') and shape[-1] == 4)
    values = DOWN if shape[-1] == 3 else 4 * UP if doubles else UP
    return torch.tensor(values, dtype=torch.float32).expand(shape).contiguous()


def filled(shapes, scale=1.0):
    """State dict by the fill rule of the golden values."""
    state_dict, i = {}, 0
    for name, shape in shapes.items():
        if is_constant(name):
            state_dict[name] = constant(name, shape)
        else:
            state_dict[name] = scale * field(shape, 10 + i)
            i += 1
        if name.endswith('noise.weight'):
            state_dict[name].zero_()
    return state_dict


def drawn(shapes):
    """State dict of random weights."""
    return {
        name: constant(name, shape) if is_constant(name) else torch.randn(shape)
        for name, shape in shapes.items()
    }


class Blur(nn.Module):
    """A buffer ``filt`` and what is done with it."""

    def __init__(self, channels, doubles):
        super().__init__()
        side = 4 if doubles else 3
        self.register_buffer('filt', constant('filt', (channels, 1, side, side)))

    def forward(self, x):
        if self.filt.shape[-1] == 3:
            padded = F.pad(x, (1, 1, 1, 1), mode='reflect')
            return F.conv2d(padded, self.filt, stride=2, groups=x.shape[1])
        padded = F.pad(x, (1, 1, 1, 1), mode='replicate')
        doubled = F.conv_transpose2d(padded, self.filt, stride=2, groups=x.shape[1])
        return doubled[:, :, 3:-3, 3:-3]


class Residual(nn.Module):
    def __init__(self, width, dropout, statistics):
        super().__init__()
        norm = [nn.InstanceNorm2d(width, track_running_stats=statistics) for _ in range(2)]
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3),
            norm[0],
            nn.ReLU(),
            *([nn.Dropout(0.5)] if dropout else []),
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3),
            norm[1],
        )

    def forward(self, x):
        return x + self.conv_block(x)


class Numbered(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.model = nn.Sequential(*layers)

    def forward(self, x):
        return self.model(x)


def resnet(width=4, blocks=2, downs=2, blur=True, dropout=False, statistics=False, channels=3):
    """Generator of CycleGAN (without blur) or of CUT and F-LSeSim (with blur)."""

    def normed(conv, outputs):
        norm = nn.InstanceNorm2d(outputs, track_running_stats=statistics)
        return [conv, norm, nn.ReLU()]

    layers = [nn.ReflectionPad2d(3), *normed(nn.Conv2d(channels, width, 7), width)]
    for _ in range(downs):
        stride = 1 if blur else 2
        layers += normed(nn.Conv2d(width, 2 * width, 3, stride, padding=1), 2 * width)
        width *= 2
        layers += [Blur(width, False)] if blur else []
    layers += [Residual(width, dropout, statistics) for _ in range(blocks)]
    for _ in range(downs):
        if blur:
            layers += [Blur(width, True)]
            layers += normed(nn.Conv2d(width, width // 2, 3, padding=1), width // 2)
        else:
            conv = nn.ConvTranspose2d(width, width // 2, 3, 2, padding=1, output_padding=1)
            layers += normed(conv, width // 2)
        width //= 2
    layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, channels, 7), nn.Tanh()]
    return Numbered(layers)


def patch_gan(width=4, count=3, blur=True, statistics=False, channels=3):
    """Discriminator of CycleGAN (without blur) or of CUT and F-LSeSim (with blur)."""
    layers = [nn.Conv2d(channels, width, 4, 1 if blur else 2, padding=1), nn.LeakyReLU(0.2)]
    widths = [width * min(2**i, 8) for i in range(count + 1)]
    for i, (narrow, wide) in enumerate(zip(widths, widths[1:], strict=False), 1):
        layers += [Blur(narrow, False)] if blur else []
        stride = 2 if i < count and not blur else 1
        layers += [
            nn.Conv2d(narrow, wide, 4, stride, padding=1),
            nn.InstanceNorm2d(wide, track_running_stats=statistics),
            nn.LeakyReLU(0.2),
        ]
    return Numbered([*layers, nn.Conv2d(widths[-1], 1, 4, padding=1)])


def perceptrons(channels, width):
    """CUT's ``latest_net_F.pth``."""
    layers = {
        f'mlp_{i}': nn.Sequential(nn.Linear(c, width), nn.ReLU(), nn.Linear(width, width))
        for i, c in enumerate(channels)
    }
    return nn.ModuleDict(layers)


def heads(channels):
    """F-LSeSim's ``latest_net_F.pth``."""
    layers = {}
    for i, c in enumerate(channels):
        narrow = max(32, c // 4)
        convs = nn.Conv2d(c, narrow, 1), nn.Conv2d(narrow, narrow, 1)
        layers[f'conv_{i}'] = nn.Sequential(convs[0], nn.ReLU(), convs[1])
    return nn.ModuleDict(layers)


def same(a, b):
    """Whether two state dicts are the same bit for bit, and in the same order."""
    return list(a) == list(b) and all(
        a[n].dtype == b[n].dtype and a[n].shape == b[n].shape and torch.equal(a[n], b[n]) for n in a
    )
