"""Generators, discriminators, the frozen feature network and a segmentation network."""

from .discriminators import BlurPatchGAN, MultiScaleDiscriminator
from .drn import DRN22
from .munit_generator import MUNITGenerator
from .projected_discriminator import ProjectedDiscriminator
from .resnet_generator import ResNetBlurGenerator
from .stylegan2 import StyleGAN2Discriminator, StyleGAN2Generator
from .timm_features import TimmFeatures
from .vgg16 import VGG16Features

__all__ = [
    'BlurPatchGAN',
    'DRN22',
    'MUNITGenerator',
    'MultiScaleDiscriminator',
    'ProjectedDiscriminator',
    'ResNetBlurGenerator',
    'StyleGAN2Discriminator',
    'StyleGAN2Generator',
    'TimmFeatures',
    'VGG16Features',
]
