"""LSeSim: self-similarity of features that learn what structure is."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from sesim_mmagic.functional import info_nce
from sesim_mmagic.networks.state_dicts import read_state_dict
from sesim_mmagic.registry import MODELS
from sesim_mmagic.utils.checks import check_flags, check_numbers

from .fsesim import FSeSimLoss
from .structure_loss import LearnedStructureLoss


@MODELS.register_module()
class LSeSimLoss(FSeSimLoss, LearnedStructureLoss):
    """Spatially-correlative loss on learned features (Zheng et al., CVPR 2021, Sec. 3.2).

    A small head on each layer of the frozen VGG16 learns, by contrast, which similarities stay
    when appearance changes: a query's map in the source is to resemble the map of the same query
    in images of the same structure, and neither the maps of other queries nor those of another
    image. The translation is then compared through the heads, which do not learn from that.

    The heads' tensors have the names and shapes of the authors' ``latest_net_F.pth``.

    Args:
        layers (Sequence[str]): Layers of the feature network.
            Defaults to ('relu3_1', 'relu4_1', 'relu4_3').
        num_patches (int): Query positions a layer; -1 for all. Defaults to 256.
        patch_size (int): Side of the window of keys, in positions of the layer's map.
            Defaults to 32.
        temperature (float): Temperature of the contrastive loss. Defaults to 0.07.
        use_augmented_view (bool): Whether the heads also learn from a view of the source with
            another appearance, and of the target image as a negative; batches must hold
            ``img_{domain}_aug`` (see ``AppearanceView``). Defaults to True.
        heads (str, optional): File with the state dict of trained heads, such as the authors'
            ``latest_net_F.pth``. Defaults to None: normal distribution of deviation 0.02.
        **kwargs: ``distance``, ``normalize``, ``loss_weight``, ``feature_net`` of
            :class:`FSeSimLoss`.

    Raises:
        ValueError: If an argument is unknown or out of range.
    """

    def __init__(
        self,
        layers: Sequence[str] = ('relu3_1', 'relu4_1', 'relu4_3'),
        num_patches: int = 256,
        patch_size: int = 32,
        temperature: float = 0.07,
        use_augmented_view: bool = True,
        heads: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(layers, num_patches, patch_size, **kwargs)
        check_numbers(self, above=0, temperature=temperature)
        check_flags(self, use_augmented_view=use_augmented_view)
        self.temperature = temperature
        self.use_augmented_view = use_augmented_view
        self.heads_file = heads
        self.heads = nn.ModuleDict(
            {
                f'conv_{index}': projection_head(channels)
                for index, channels in enumerate(self.feature_net.out_channels.values())
            }
        )

    def init_weights(self) -> None:
        """Read the feature network's weights and, if a file is named, the heads'.

        Raises:
            FileNotFoundError: If a file is missing.
            ValueError: If a file does not hold what it should.
        """
        super().init_weights()
        if self.heads_file is not None:
            self._load_heads(self.heads_file)

    def _load_heads(self, path: str) -> None:
        state_dict = read_state_dict(
            path,
            'LSeSim heads',
            "set structure_loss.heads to a file such as the authors' latest_net_F.pth, or to None",
        )
        found = {name: tuple(tensor.shape) for name, tensor in state_dict.items()}
        expected = {name: tuple(t.shape) for name, t in self.heads.state_dict().items()}
        if found != expected:
            wrong = sorted({name for name, _ in found.items() ^ expected.items()})
            raise ValueError(
                f'LSeSim heads {path!r} do not fit the layers {self.feature_net.layers}: expected '
                f'{ {name: expected.get(name) for name in wrong} }, found '
                f'{ {name: found.get(name) for name in wrong} }'
            )
        self.heads.load_state_dict(state_dict)

    def compare(self, source: list[Tensor], translated: list[Tensor]) -> Tensor:
        """Weighted spatial distance between two looks through the heads, a scalar.

        No gradient reaches the heads.
        """
        return super().compare(*(self._project(look, frozen=True) for look in (source, translated)))

    def learn(
        self,
        anchor: list[Tensor],
        positives: Sequence[list[Tensor]],
        negatives: Sequence[list[Tensor]],
    ) -> Tensor:
        """Contrastive loss of the heads, averaged over layers and positives.

        Args:
            anchor (list[Tensor]): Look at the source (see :meth:`extract`).
            positives (Sequence[list[Tensor]]): Looks at images of the source's structure.
            negatives (Sequence[list[Tensor]]): As many looks at images of another structure.

        Returns:
            Tensor: A non-negative scalar, without the loss weight.
        """
        looks = [self._project(look) for look in (anchor, *positives, *negatives)]
        losses = []
        for views in zip(*looks, strict=True):
            maps = self._similarity(torch.cat(views), self._draw_positions(views[0]))
            anchor_maps, *others = maps.split(len(views[0]))
            count = len(positives)
            losses.append(
                info_nce(
                    anchor_maps.repeat(count, 1, 1),
                    torch.cat(others[:count]),
                    torch.cat(others[count:]),
                    self.temperature,
                )
            )
        return torch.stack(losses).mean()

    def _compared(self, images: Tensor) -> list[Tensor]:
        return self._project(self.extract(images))

    def _project(self, look: list[Tensor], frozen: bool = False) -> list[Tensor]:
        projected = []
        for head, features in zip(self.heads.values(), look, strict=True):
            weights = dict(head.named_parameters())
            if frozen:
                weights = {name: weight.detach() for name, weight in weights.items()}
            projected.append(functional_call(head, weights, features))
        return projected


def projection_head(channels: int) -> nn.Sequential:
    """Two 1 x 1 convolutions from ``channels`` to ``max(32, channels // 4)`` channels."""
    width = max(32, channels // 4)
    head = nn.Sequential(nn.Conv2d(channels, width, 1), nn.ReLU(), nn.Conv2d(width, width, 1))
    for layer in (head[0], head[2]):
        nn.init.normal_(layer.weight, std=0.02)
        nn.init.zeros_(layer.bias)
    return head
