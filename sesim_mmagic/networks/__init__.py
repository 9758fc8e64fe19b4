"""Generators, discriminators and the frozen feature network."""

from .discriminators import BlurPatchGAN
from .resnet_generator import ResNetBlurGenerator
from .stylegan2 import StyleGAN2Discriminator, StyleGAN2Generator
from .vgg16 import VGG16Features

__all__ = [
    'BlurPatchGAN',
    'ResNetBlurGenerator',
    'StyleGAN2Discriminator',
    'StyleGAN2Generator',
    'VGG16Features',
]
