"""The smallest models and batches that take a real training step."""

import logging

import torch
from mmagic.structures import DataSample
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.registry import init_default_scope

from sesim_mmagic.registry import MODELS, unwrapped
from tests.tiny import TINY_FSESIM

TINY_RESNET = dict(type='sesim_mmagic.ResNetBlurGenerator', base_channels=4, num_blocks=1)
TINY_SINGLE_IMAGE = dict(
    generator=dict(
        type='sesim_mmagic.StyleGAN2Generator', base_channels=4, num_blocks=2, noise=False
    ),
    discriminator=dict(type='sesim_mmagic.StyleGAN2Discriminator', size=32, base_channels=4),
    gan_loss=dict(type='GANLoss', gan_type='vanilla'),
    buffer_size=0,
)
MMAGIC_NETWORKS = dict(
    generator=dict(
        type='ResnetGenerator', in_channels=3, out_channels=3, base_channels=4, num_blocks=1,
        norm_cfg=dict(type='IN'), use_dropout=False, padding_mode='reflect',
        init_cfg=dict(type='normal', gain=0.02),
    ),
    discriminator=dict(
        type='PatchDiscriminator', in_channels=3, base_channels=4, num_conv=2,
        norm_cfg=dict(type='IN'), init_cfg=dict(type='normal', gain=0.02),
    ),
)  # fmt: skip


def build(config):
    init_default_scope('mmagic')
    torch.manual_seed(0)
    model = MODELS.build(config)
    logging.disable()  # MMEngine notes every tensor
    model.init_weights()
    logging.disable(logging.NOTSET)
    return model.train()


def one_sided(**kwargs):
    config = dict(
        type='sesim_mmagic.OneSidedTranslator',
        generator=TINY_RESNET,
        discriminator=dict(type='sesim_mmagic.BlurPatchGAN', base_channels=4, num_layers=2),
        source_domain='horse',
        target_domain='zebra',
        data_preprocessor=dict(type='DataPreprocessor'),
        structure_loss=TINY_FSESIM,
    )
    return build({**config, **kwargs})


def multi_modal(**kwargs):
    config = dict(
        type='sesim_mmagic.MultiModalTranslator',
        generator=dict(
            type='sesim_mmagic.MUNITGenerator', base_channels=4, num_blocks=1, mlp_channels=8,
            style_channels=3, style_downsamplings=2,
        ),
        discriminator=dict(
            type='sesim_mmagic.MultiScaleDiscriminator', base_channels=4, num_layers=2,
            num_scales=2,
        ),
        source_domain='horse',
        target_domain='zebra',
        data_preprocessor=dict(type='DataPreprocessor'),
        structure_loss=TINY_FSESIM,
    )  # fmt: skip
    return build({**config, **kwargs})


def cyclegan(type_='sesim_mmagic.SeSimCycleGAN', **kwargs):
    domains = ['horse', 'zebra']
    config = dict(
        type=type_,
        **MMAGIC_NETWORKS,
        default_domain='zebra',
        reachable_domains=domains,
        related_domains=domains,
        data_preprocessor=dict(type='DataPreprocessor', data_keys=['img_horse', 'img_zebra']),
    )
    return build({**config, **kwargs})


def pix2pix(type_='sesim_mmagic.SeSimPix2Pix', **kwargs):
    config = dict(
        type=type_,
        generator=MMAGIC_NETWORKS['generator'],
        discriminator={**MMAGIC_NETWORKS['discriminator'], 'in_channels': 6},
        default_domain='zebra',
        reachable_domains=['zebra'],
        related_domains=['zebra', 'horse'],
        data_preprocessor=dict(type='DataPreprocessor', data_keys=['img_horse', 'img_zebra']),
    )
    return build({**config, **kwargs})


def batch(size=2, height=32, width=32, seed=0, keys=('img_horse', 'img_zebra')):
    """What a data loader gives: lists of uint8 tensors and of samples."""
    generator = torch.Generator().manual_seed(seed)
    pictures = [
        {k: torch.randint(0, 256, (3, height, width), generator=generator).byte() for k in keys}
        for _ in range(size)
    ]
    samples = []
    for picture in pictures:
        sample = DataSample()
        sample.set_tensor_data(dict(picture))
        samples.append(sample)
    inputs = {key: [picture[key] for picture in pictures] for key in keys}
    return dict(inputs=inputs, data_samples=samples)


def optim_wrappers(model, wrapper=OptimWrapper, optimizer=torch.optim.Adam, lr=1e-3, **kwargs):
    """Optimizers as the configs build them."""
    loss = unwrapped(getattr(model, 'structure_loss', None))  # plain models of MMagic have none
    parameters = {
        key: list(getattr(model, key).parameters()) for key in ('generators', 'discriminators')
    }
    if loss is not None and any(p.requires_grad for p in loss.parameters()):
        key = 'generators' if loss.trains_with_generator else 'structure_loss'
        parameters[key] = [*parameters.get(key, ()), *loss.parameters()]
    return OptimWrapperDict(
        **{
            key: wrapper(optimizer=optimizer(found, lr=lr), **kwargs)
            for key, found in parameters.items()
        }
    )
