"""Networks of several domains that are trained through one wrapper."""

from collections.abc import Callable
from typing import Any

from mmengine.model import is_model_wrapper
from torch import Tensor, nn

from sesim_mmagic.registry import unwrapped


class DomainNetworks(nn.ModuleDict):
    """One network per domain, called by the domain's name.

    MMagic keeps its generators in a plain ``ModuleDict``, which has no forward pass: it takes
    them out of their ``DistributedDataParallel`` wrapper to call them, and then gradients are
    never averaged over ranks. This one can be called *through* the wrapper.
    """

    def forward(self, *inputs: Tensor, domain: str, **kwargs: Any) -> Any:
        """Output of ``domain``'s network."""
        return self[domain](*inputs, **kwargs)


class ThroughWrapper:
    """Looks like the networks inside a wrapper, calls them through the wrapper.

    Args:
        networks (nn.Module): :class:`DomainNetworks` or a wrapper around it.
    """

    def __init__(self, networks: nn.Module) -> None:
        self.networks = networks

    def __getitem__(self, domain: str) -> Callable[[Tensor], Tensor]:
        return lambda images: self.networks(images, domain=domain)


def reachable_networks(networks: nn.Module) -> ThroughWrapper:
    """The networks as the current step must call them.

    A network that trains is called through its wrapper, which then waits for all of its
    gradients. One that only passes gradients on (the discriminator in the generator's step)
    has none to average and is called inside the wrapper.
    """
    trains = any(parameter.requires_grad for parameter in networks.parameters())
    return ThroughWrapper(networks if trains else unwrapped(networks))


def drop_wrapper_names(module: nn.Module, state_dict: dict, prefix: str, metadata: dict) -> None:
    """State-dict hook: name the tensors of wrapped children as if they were not wrapped.

    MMEngine saves ``generators.module.zebra.*`` on several ranks but looks for
    ``generators.zebra.*`` when it loads, on one rank or several, and only warns.
    """
    for name, child in module.named_children():
        if is_model_wrapper(child):
            wrapped = f'{prefix}{name}.module.'
            for key in [key for key in state_dict if key.startswith(wrapped)]:
                state_dict[f'{prefix}{name}.{key[len(wrapped) :]}'] = state_dict.pop(key)
