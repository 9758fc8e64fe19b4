"""Samples as a test loop gives them to metrics, and their way through MMEngine's evaluator."""

import numpy as np
import torch
from mmengine.evaluator import Evaluator
from mmengine.registry import DefaultScope
from torch import nn

from sesim_mmagic.datasets.shape_scenes import PALETTE
from sesim_mmagic.evaluation.scores import segment_by_palette
from sesim_mmagic.registry import MODELS

TARGET, SOURCE = 'flat', 'textured'


@MODELS.register_module()
class ByPalette(nn.Module):
    """A segmentor that gives every pixel the class of the nearest colour."""

    def forward(self, pictures):
        rgb = pictures.permute(0, 2, 3, 1).numpy()
        labels = np.stack([segment_by_palette(picture, PALETTE) for picture in rgb])
        return nn.functional.one_hot(torch.from_numpy(labels), 4).permute(0, 3, 1, 2).float()


def tensor(picture):
    """BGR (3, H, W) as the data preprocessor leaves it, of an RGB picture (H, W, 3)."""
    return torch.from_numpy(picture[..., ::-1].transpose(2, 0, 1).copy()).float()


def sample(truth=None, fake=None, number=0, source=None, truth_number=None):
    """A sample with ``img_flat``, ``fake_flat`` and ``img_textured``, as far as they are given.

    Pictures are RGB (H, W, 3) or tensors as in a sample; several translations of a source, a
    tensor (N, 3, H, W), are ``fakes_flat``, and the first of them ``fake_flat``. ``number`` names
    the source's file, and the truth's unless that has a ``truth_number``.
    """
    from mmagic.structures import DataSample

    truth_number = number if truth_number is None else truth_number
    data_sample = DataSample(
        metainfo={
            f'img_{TARGET}_path': f'data/testA/{truth_number:03d}.png',
            f'img_{SOURCE}_path': f'data/testB/{number:03d}.png',
        }
    )
    pictures = {f'img_{TARGET}': truth, f'fake_{TARGET}': fake, f'img_{SOURCE}': source}
    if torch.is_tensor(fake) and fake.dim() == 4:
        pictures.update({f'fakes_{TARGET}': fake, f'fake_{TARGET}': fake[0] if len(fake) else None})
    for key, picture in pictures.items():
        if picture is not None:
            picture = picture if torch.is_tensor(picture) else tensor(picture)
            data_sample.set_tensor_data({key: picture})
    return data_sample


def evaluate(samples, metric, batch=3, size=None, **options):
    """Scores through MMEngine's evaluator, as its loops use it.

    ``metric`` is a metric, or the name of one, which is built with ``options``.
    """
    if isinstance(metric, str):
        metric = dict(type=f'sesim_mmagic.{metric}', **(dict(target_domain=TARGET) | options))
    with DefaultScope.overwrite_default_scope('mmagic'):
        evaluator = Evaluator(metric)
    for i in range(0, len(samples), batch):
        evaluator.process(samples[i : i + batch], dict(inputs=None))
    return evaluator.evaluate(size or len(samples))
