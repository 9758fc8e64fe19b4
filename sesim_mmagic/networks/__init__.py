"""Generators, discriminators and the frozen feature network."""

from .discriminators import BlurPatchGAN
from .resnet_generator import ResNetBlurGenerator
from .vgg16 import VGG16Features

__all__ = ['BlurPatchGAN', 'ResNetBlurGenerator', 'VGG16Features']
