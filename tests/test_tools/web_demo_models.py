"""Models and pictures to try on the demo page."""

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from sesim_mmagic.registry import MODELS
from tests.test_translators.tiny import TINY_RESNET

COMMON = dict(discriminator=None, data_preprocessor=dict(type='DataPreprocessor'))
ONE_SIDED = dict(
    type='sesim_mmagic.OneSidedTranslator', generator=TINY_RESNET,
    source_domain='horse', target_domain='zebra', **COMMON,
)  # fmt: skip
MULTI_MODAL = dict(
    type='sesim_mmagic.MultiModalTranslator', source_domain='sketch', target_domain='painting',
    generator=dict(
        type='sesim_mmagic.MUNITGenerator', base_channels=4, num_blocks=1, mlp_channels=8,
        style_channels=3, style_downsamplings=2,
    ),
    **COMMON,
)  # fmt: skip
ONE_WAY = {**MULTI_MODAL, 'two_sided': False}


def write_models(root):
    """Write ``one/a.pth`` (one-sided), ``many/a.pth`` and ``way/a.pth`` (multi-modal), pictures."""
    init_default_scope('mmagic')
    for name, settings in (('one', ONE_SIDED), ('many', MULTI_MODAL), ('way', ONE_WAY)):
        (root / name).mkdir()
        torch.manual_seed(1)
        model = MODELS.build(settings)
        # Steeper than at the start of a training: a translation is to be no even grey.
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
        content = dict(
            meta=dict(cfg=Config(dict(model=settings)).pretty_text), state_dict=model.state_dict()
        )
        torch.save(content, root / name / 'a.pth')
    (root / 'broken.pth').write_text('<html>404</html>')
    (root / 'secret.png').write_bytes(as_png(picture((32, 32))))
    (root / 'pictures').mkdir()
    for name, size in (('first.png', (48, 64)), ('large.png', (150, 100))):
        (root / 'pictures' / name).write_bytes(as_png(picture(size)))
    return root


def picture(size, seed=0):
    """Large even patches of random colours, (H, W, 3)."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_NEAREST)


def as_png(array):
    return cv2.imencode('.png', array)[1].tobytes()


def arguments(folder, *more):
    models = [str(folder / name) for name in ('one/a.pth', 'many/a.pth', 'way/a.pth', 'broken.pth')]
    pictures = ['--pictures', str(folder / 'pictures')]
    return ['--model', *models, *pictures, '--device', 'cpu', *more]
