"""PatchNCE: contrast between patches, mostly of the generator's own features (CUT, FastCUT)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sesim_mmagic.functional import info_nce, sample_positions
from sesim_mmagic.registry import MODELS
from sesim_mmagic.utils.checks import check_flags, check_ints, check_numbers

from .structure_loss import StructureLoss


@MODELS.register_module()
class PatchNCELoss(StructureLoss):
    """Patchwise contrastive loss (Park et al., "Contrastive Learning for Unpaired
    Image-to-Image Translation", ECCV 2020, Sec. 3).

    A patch of the translation should resemble the patch of the source at the same position more
    than it resembles other patches of that source. Patches are compared in features of the
    generator's encoder, or of a frozen network, after a small perceptron per layer. The perceptrons
    have no objective of their own: they train with the generator, in its optimizer
    (``optim_wrapper.generators.modules=['generators', 'structure_loss']``)::

        loss = loss_weight * mean over layers of info_nce(MLP(translated), MLP(source))

    Their tensors have the names and shapes of CUT's ``latest_net_F.pth``.

    Args:
        layers (Sequence[int] | Sequence[str]): Layers of the generator, see its ``encode``, or
            names of layers of ``feature_net``. Defaults to CUT's (0, 4, 8, 12, 16).
        channels (Sequence[int]): Channels in these layers. Defaults to those of a generator of
            width 64: (3, 128, 256, 256, 256).
        width (int): Width of hidden and last layer of the perceptrons. Defaults to 256.
        num_patches (int): Positions per layer, the same in source and translation; -1 for all.
            Defaults to 256.
        batch_negatives (bool): Whether the patches of all images of a batch are negatives, as in
            SinCUT, whose batch is crops of one picture; otherwise those of the same image alone.
            Defaults to False.
        temperature (float): Temperature of the contrastive loss. Defaults to 0.07.
        loss_weight (float): Factor on the loss. Defaults to 1.
        feature_net (dict, optional): Config of a frozen network that the loss sees through;
            ``layers`` is added. Defaults to None: the generator.

    Raises:
        ValueError: If an argument is out of range or ``channels`` does not fit ``layers``.

    >>> from sesim_mmagic.networks import ResNetBlurGenerator
    >>> generator = ResNetBlurGenerator(base_channels=4, num_blocks=1)
    >>> loss = PatchNCELoss(layers=(0, 4), channels=generator.feature_channels((0, 4)))
    >>> source = torch.rand(1, 3, 32, 32) * 2 - 1
    >>> loss(source, generator(source), generator).backward()
    """

    def __init__(
        self,
        layers: Sequence[int] | Sequence[str] = (0, 4, 8, 12, 16),
        channels: Sequence[int] = (3, 128, 256, 256, 256),
        width: int = 256,
        num_patches: int = 256,
        batch_negatives: bool = False,
        temperature: float = 0.07,
        loss_weight: float = 1.0,
        feature_net: dict | None = None,
    ) -> None:
        super().__init__()
        if len(layers) != len(channels) or not layers:
            raise ValueError(
                'PatchNCELoss: channels must name the channels of each of the layers, got '
                f'layers={tuple(layers)}, channels={tuple(channels)}'
            )
        check_ints(self, 1, (-1,), num_patches=num_patches)
        check_ints(self, 1, width=width)
        check_numbers(self, above=0, temperature=temperature)
        check_numbers(self, least=0, loss_weight=loss_weight)
        check_flags(self, batch_negatives=batch_negatives)
        self.layers = tuple(layers)
        self.channels = tuple(channels)
        self.num_patches = num_patches
        self.batch_negatives = batch_negatives
        self.temperature = temperature
        self.loss_weight = loss_weight
        self.needs_generator = feature_net is None
        if feature_net is not None:
            self.feature_net = MODELS.build({**feature_net, 'layers': self.layers})
            self.channel_order = self.feature_net.channel_order
            found = tuple(self.feature_net.out_channels.values())
            if found != self.channels:
                raise ValueError(
                    f'PatchNCELoss: feature_net has {found} channels in the layers {self.layers}, '
                    f'not {self.channels}: set channels={found}'
                )
        for index, in_channels in enumerate(channels):
            self.add_module(f'mlp_{index}', perceptron(in_channels, width))

    def extract(self, images: Tensor, generator: Any = None) -> list[Tensor]:
        """Features of the frozen network or the generator's encoder, each of shape (B, C, h, w).

        Raises:
            ValueError: If a generator is needed and none is given.
        """
        if self.feature_net is not None:
            return list(self.feature_net(images).values())
        if generator is None:
            raise ValueError(
                'PatchNCELoss sees images through the generator: give it with the images'
            )
        return generator.encode(images, self.layers)

    def compare(self, source: list[Tensor], translated: list[Tensor]) -> Tensor:
        """Weighted contrastive loss, averaged over layers, a scalar; the source is detached."""
        losses = []
        for index, (key, query) in enumerate(zip(source, translated, strict=True)):
            height, width = query.shape[2:]
            positions = sample_positions(height, width, self.num_patches, device=query.device)
            keys, queries = (
                self.get_submodule(f'mlp_{index}')(features.flatten(2).mT[:, positions])
                for features in (key, query)
            )
            if self.batch_negatives:  # as if all patches were of one image
                keys, queries = keys.flatten(0, 1)[None], queries.flatten(0, 1)[None]
            # The perceptron learns from the translation's patches alone, as in CUT.
            losses.append(info_nce(queries, keys.detach(), temperature=self.temperature))
        return self.loss_weight * torch.stack(losses).mean()

    def extra_repr(self) -> str:
        return (
            f'layers={self.layers}, num_patches={self.num_patches}, '
            f'batch_negatives={self.batch_negatives}, temperature={self.temperature}, '
            f'loss_weight={self.loss_weight}'
        )


def perceptron(in_channels: int, width: int) -> nn.Sequential:
    """Two linear layers with a ReLU between; Xavier initialisation of gain 0.02, as CUT's."""
    layers = nn.Sequential(nn.Linear(in_channels, width), nn.ReLU(), nn.Linear(width, width))
    for name, parameter in layers.named_parameters():
        if name.endswith('weight'):
            nn.init.xavier_normal_(parameter, gain=0.02)
        else:
            nn.init.zeros_(parameter)
    return layers
