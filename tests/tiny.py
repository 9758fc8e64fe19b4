"""The smallest losses and pictures, for every folder of tests."""

import torch

TINY_VGG = dict(type='sesim_mmagic.VGG16Features', pretrained=None, seed=0, width=0.125)
TINY_FSESIM = dict(
    type='sesim_mmagic.FSeSimLoss',
    layers=('relu2_2',),
    num_patches=16,
    patch_size=4,
    feature_net=TINY_VGG,
)
TINY_LSESIM = {**TINY_FSESIM, 'type': 'sesim_mmagic.LSeSimLoss'}
TINY_PATCH_NCE = dict(
    type='sesim_mmagic.PatchNCELoss',
    layers=(0, 4, 8, 12),
    channels=(3, 8, 16, 16),
    width=8,
    num_patches=16,
    temperature=0.5,
)

TINY_PROJECTED = dict(
    network=dict(
        type='sesim_mmagic.ProjectedDiscriminator',
        feature_net={**TINY_VGG, 'layers': ('relu1_2', 'relu2_2')},
        channels=4,
    ),
    weight=0.03,
)


def pictures(seed=0, batch=2, height=24, width=40, dtype=torch.float32):
    """Random images (B, 3, H, W) in [-1, 1]."""
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.rand(batch, 3, height, width, generator=generator, dtype=dtype) - 1
