"""A training that starts from a model whose domains have other names."""

import re
from collections.abc import Mapping
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from sesim_mmagic.engine.models import translator_of

# What comes before the name of a domain in the name of a weight.
_DOMAIN = re.compile(
    r'^((?:module\.)?(?:generators|discriminators|image_buffers|generator_ema\.module)\.'
    r'(?:module\.)?)([^.:]+)((?::[^.]+)?\..*)$'
)


def rename_domains(weights: Mapping[str, Any], mapping: Mapping[str, str]) -> dict[str, Any]:
    """Weights under the names that they have in a model with other domains.

    Args:
        weights (Mapping[str, Any]): Weights of a checkpoint, such as ``generators.zebra.*``.
        mapping (Mapping[str, str]): Domain of the model by the checkpoint's.

    Returns:
        dict[str, Any]: The same values, such as ``generators.sunny.*``.
    """

    def renamed(name: str) -> str:
        match = _DOMAIN.match(name)
        return f'{match[1]}{mapping.get(match[2], match[2])}{match[3]}' if match else name

    return {renamed(name): value for name, value in weights.items()}


def domains_of(weights: Mapping[str, Any]) -> list[str]:
    """The domains that a checkpoint has generators for, by name."""
    matches = (_DOMAIN.match(name) for name in weights if 'generators.' in name)
    return sorted({match[2] for match in matches if match})


class DomainMappingHook(Hook):
    """Rename the domains of the checkpoint that a training starts from (``load_from``).

    On resume nothing is renamed: the checkpoint is one of this training.

    Args:
        mapping (Mapping[str, str]): Domain of the model by the checkpoint's, such as
            ``dict(horse='cloudy', zebra='sunny')``.
    """

    priority = 'HIGH'

    def __init__(self, mapping: Mapping[str, str]) -> None:
        self.mapping = dict(mapping)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Rename the weights before they are compared with the model's.

        Raises:
            ValueError: The checkpoint or the model has none of these domains.
        """
        if runner._resume:
            return
        weights = checkpoint.get('state_dict', checkpoint)
        known = domains_of(weights)
        translated = translator_of(runner.model).domains
        domains = list(dict.fromkeys([*translated, *translated.values()]))
        unknown = [name for name in self.mapping.values() if name not in domains]
        if unknown or len(set(self.mapping.values())) < len(self.mapping):
            raise ValueError(
                f'domain_mapping must give each domain of the checkpoint another one of the '
                f"model's {domains}, got {self.mapping}"
            )
        if not set(self.mapping) & set(known):
            raise ValueError(
                f'domain_mapping names the domains {list(self.mapping)} of the checkpoint, which '
                f'translates into {known}: give {known[0] if known else "DOMAIN"}={domains[0]}'
            )
        checkpoint_weights = rename_domains(weights, self.mapping)
        weights.clear()
        weights.update(checkpoint_weights)
        runner.logger.info(f'Domains of the checkpoint renamed: {self.mapping}.')
