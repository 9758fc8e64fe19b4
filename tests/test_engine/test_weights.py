from collections import OrderedDict
from types import SimpleNamespace

import pytest
from mmengine.registry import MODEL_WRAPPERS
from torch import nn

from sesim_mmagic.engine import SafeCheckpointHook
from sesim_mmagic.engine.weights import plain_names, unwrapped


class Wrapper(nn.Module):
    """Holds a module the way DistributedDataParallel does."""

    def __init__(self, module):
        super().__init__()
        self.module = module


@pytest.fixture(autouse=True)
def registered():
    MODEL_WRAPPERS.register_module(module=Wrapper, force=True)
    yield
    MODEL_WRAPPERS._module_dict.pop('Wrapper')


def model(wrap=lambda module: module):
    domains = nn.ModuleDict(dict(module=nn.Linear(2, 2), b=nn.BatchNorm1d(2)))
    return nn.ModuleDict(dict(generators=wrap(domains), other=nn.Linear(1, 1)))


def test_names_carry_no_trace_of_wrappers():
    wrapped = Wrapper(model(Wrapper))
    weights = unwrapped(wrapped).state_dict()
    assert 'generators.module.b.weight' in weights
    plain = plain_names(wrapped, weights)
    assert list(plain) == list(model().state_dict())
    assert set(plain._metadata) == set(model().state_dict()._metadata)
    assert plain['generators.module.weight'] is weights['generators.module.module.weight']


def test_checkpoint_of_a_wrapped_model_has_plain_names():
    """MMagic's own models save ``generators.module.*``, which MMEngine cannot load."""
    wrapped = Wrapper(model(Wrapper))
    checkpoint = dict(state_dict=OrderedDict(unwrapped(wrapped).state_dict()))
    SafeCheckpointHook().before_save_checkpoint(SimpleNamespace(model=wrapped), checkpoint)
    model().load_state_dict(checkpoint['state_dict'], strict=True)
