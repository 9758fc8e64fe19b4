"""DRN-D-22: names and shapes of the authors' file, dilation, upsampling."""

import torch
import torch.nn.functional as F

from sesim_mmagic.networks import DRN22


def test_tensors_are_those_of_the_authors():
    """``drn_d_22_cityscapes.pth``: 15.9 million numbers under names of theirs."""
    shapes = {name: tuple(tensor.shape) for name, tensor in DRN22().state_dict().items()}
    assert sum(parameter.numel() for parameter in DRN22().parameters()) == 15_895_363
    some = {
        'base.0.0.weight': (16, 3, 7, 7),
        'base.2.1.running_var': (32,),
        'base.3.0.downsample.0.weight': (64, 32, 1, 1),
        'base.6.1.conv2.weight': (512, 512, 3, 3),
        'base.8.0.weight': (512, 512, 3, 3),
        'seg.bias': (19,),
        'up.weight': (19, 1, 16, 16),
    }
    assert {name: shapes[name] for name in some} == some


def test_maps_are_an_eighth_and_logits_as_large_as_the_picture():
    network = DRN22(num_classes=3).eval()
    with torch.no_grad():
        maps = network.base(torch.rand(1, 3, 48, 64))
        logits = network(torch.rand(1, 3, 48, 64))
    assert maps.shape == (1, 512, 6, 8) and logits.shape == (1, 3, 48, 64)


def test_dilation_widens_what_a_position_sees():
    """Levels 5 to 8: (2 + 2 + 2 + 2) + (4 + 4 + 4 + 4) + 2 + 1 positions to each side."""
    network = DRN22().eval()
    features = torch.rand(1, 128, 61, 61, requires_grad=True)
    network.base[5:](features)[0, :, 30, 30].sum().backward()
    seen = features.grad.abs().sum((0, 1)).sum(0).nonzero()
    assert (seen.min().item(), seen.max().item()) == (3, 57)


def test_logits_are_interpolated():
    network = DRN22(num_classes=2)
    maps = torch.rand(1, 2, 5, 6)
    expected = F.interpolate(maps, scale_factor=8, mode='bilinear', align_corners=False)
    inner = (..., slice(4, -4), slice(4, -4))  # at the border PyTorch repeats, DRN fades to 0
    torch.testing.assert_close(network.up(maps)[inner], expected[inner])
