"""Small models and pictures to translate."""

import numpy as np
import torch
from mmengine.registry import init_default_scope

from sesim_mmagic.apis import SeSimInferencer
from sesim_mmagic.registry import MODELS
from tests.test_engine import tiny  # noqa: F401  one thread for tiny tensors

GENERATOR = dict(type='sesim_mmagic.ResNetBlurGenerator', base_channels=4, num_blocks=1)
STYLED = dict(
    type='sesim_mmagic.MUNITGenerator', base_channels=4, num_blocks=1, mlp_channels=8,
    style_channels=3, style_downsamplings=2,
)  # fmt: skip


def config(generator=GENERATOR, kind='OneSidedTranslator', **settings):
    """Config of a model from a to b, for inference."""
    return dict(
        type=f'sesim_mmagic.{kind}', generator=generator, discriminator=None,
        source_domain='a', target_domain='b', data_preprocessor=dict(type='DataPreprocessor'),
        **settings,
    )  # fmt: skip


def build(settings=None, seed=0):
    """A random model whose translations have contrast."""
    init_default_scope('mmagic')
    torch.manual_seed(seed)
    model = MODELS.build(settings or config()).eval()
    for parameter in model.parameters():
        if parameter.dim() == 4:
            torch.nn.init.normal_(parameter, std=0.15)
    return model


def save(path, model, settings=None):
    """A checkpoint as a training writes it; return its path."""
    meta = dict(cfg=f"default_scope = 'mmagic'\nmodel = {settings or config()!r}\n")
    torch.save(dict(meta=meta, state_dict=model.state_dict()), path)
    return path


def translated(model, pictures, target=None, styles=None):
    """Translations of some pictures in memory: a list, with styles one of lists."""
    result = SeSimInferencer(model)(pictures, target_domain=target, styles=styles)
    assert not any(found['reason'] for found in result['predictions'])
    return result['visualization']


def picture(height=20, width=28, seed=0):
    """(H, W, 3), BGR, uint8."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


class Calls(list):
    """Shapes of what a network is given; a ``with`` block ends the counting.

    Args:
        network (nn.Module): The network.
        action (Callable): Is called with the number and the input of each call.
    """

    def __init__(self, network, action=None):
        self.action = action
        self.hook = network.register_forward_pre_hook(self.note)

    def note(self, network, inputs):
        if self.action is not None:
            self.action(len(self), inputs[0])
        self.append(tuple(inputs[0].shape))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.hook.remove()
