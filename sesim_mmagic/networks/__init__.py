"""Generators, discriminators and the frozen feature network."""

from .discriminators import BlurPatchGAN
from .multi_scale import MultiScaleDiscriminator
from .munit_generator import MUNITGenerator
from .resnet_generator import ResNetBlurGenerator
from .stylegan2 import StyleGAN2Discriminator, StyleGAN2Generator
from .vgg16 import VGG16Features

__all__ = [
    'BlurPatchGAN',
    'MUNITGenerator',
    'MultiScaleDiscriminator',
    'ResNetBlurGenerator',
    'StyleGAN2Discriminator',
    'StyleGAN2Generator',
    'VGG16Features',
]
