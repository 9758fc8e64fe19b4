"""Networks and losses are one graph each to ``torch.compile``: nothing sends it back to Python."""

import pytest
import torch

from sesim_mmagic.registry import MODELS
from tests.tiny import TINY_FSESIM, TINY_LSESIM, TINY_PATCH_NCE, TINY_VGG, pictures

RANDOM = dict(pretrained=None, seed=0)
RESNET = dict(type='sesim_mmagic.ResNetBlurGenerator', base_channels=4, num_blocks=1)
NETWORKS = dict(
    resnet=RESNET,
    stylegan2=dict(type='sesim_mmagic.StyleGAN2Generator', base_channels=4, num_blocks=2),
    munit=dict(type='sesim_mmagic.MUNITGenerator', base_channels=4, num_blocks=1, mlp_channels=8),
    patch_gan=dict(type='sesim_mmagic.BlurPatchGAN', base_channels=4, num_layers=2),
    scales=dict(
        type='sesim_mmagic.MultiScaleDiscriminator', base_channels=4, num_layers=2, num_scales=2
    ),
    crops=dict(type='sesim_mmagic.StyleGAN2Discriminator', size=32, base_channels=4),
    vgg16={**TINY_VGG, 'layers': ('relu2_2',)},
    timm=dict(type='sesim_mmagic.TimmFeatures', model='resnet10t', **RANDOM, layers=('layer1',)),
)
LOSSES = dict(fsesim=TINY_FSESIM, lsesim=TINY_LSESIM, patch_nce=TINY_PATCH_NCE)


def check_one_graph(function, *inputs):
    torch._dynamo.reset()  # graphs of other tests count towards its limit
    compiled = torch.compile(function, backend='eager', fullgraph=True)
    torch.manual_seed(0)
    expected = function(*inputs)
    torch.manual_seed(0)
    torch.testing.assert_close(compiled(*inputs), expected)


@pytest.mark.parametrize('name', NETWORKS)
def test_networks(name):
    network = MODELS.build(NETWORKS[name])
    network.init_weights()
    check_one_graph(network, pictures(batch=1, height=32, width=32))


@pytest.mark.parametrize('name', LOSSES)
def test_losses(name):
    loss = MODELS.build(LOSSES[name])
    loss.init_weights()
    generator = MODELS.build(RESNET) if loss.needs_generator else None
    check_one_graph(loss, *(pictures(seed, 1, 32, 32) for seed in (0, 1)), generator)


def test_the_objective_of_the_heads():
    loss = MODELS.build(TINY_LSESIM)
    anchor, positive, negative = (loss.extract(pictures(seed, 1, 32, 32)) for seed in range(3))
    check_one_graph(loss.contrast, anchor, [positive], [negative])
