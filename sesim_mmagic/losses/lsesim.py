"""LSeSim: self-similarity of features that learn what structure is."""

import zlib
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dist import broadcast, get_rank
from mmengine.logging import MessageHub
from torch import Tensor, nn
from torch.func import functional_call

from sesim_mmagic.functional import info_nce
from sesim_mmagic.networks.state_dicts import read_state_dict
from sesim_mmagic.registry import MODELS
from sesim_mmagic.utils.checks import check_flags, check_numbers

from .appearance import appearance_view
from .fsesim import FSeSimLoss
from .structure_loss import LearnedStructureLoss


@MODELS.register_module()
class LSeSimLoss(FSeSimLoss, LearnedStructureLoss):
    """Spatially-correlative loss on learned features (Zheng et al., CVPR 2021, Sec. 3.2).

    A small head on each layer of the frozen VGG16 learns, by contrast, which similarities stay
    when appearance changes: a query's map in the source should resemble the map of the same query
    in images of the same structure more than the maps of other queries or of another image. The
    translation is then compared with the source through the heads, which do not learn from that.

    The heads' tensors have the names and shapes of the authors' ``latest_net_F.pth``. In a
    translator their optimizer is ``optim_wrapper.structure_loss``.

    Args:
        layers (Sequence[str]): Layers of the feature network.
            Defaults to ('relu3_1', 'relu4_1', 'relu4_3').
        num_patches (int): Query positions per layer; -1 for all. Defaults to 256.
        patch_size (int): Side of the window of keys, in positions of the layer's map.
            Defaults to 32.
        temperature (float): Temperature of the contrastive loss. Defaults to 0.07.
        use_augmented_view (bool): Whether the heads also learn from a view of the source with
            another appearance, and from a view of the target image as a negative. Defaults to True.
        colour_map (float): Probability that a view's channels get random curves and a random
            order before the jitter, which hardly changes grey pictures. Defaults to 0.
        heads (str, optional): File with the state dict of trained heads, such as the authors'
            ``latest_net_F.pth``. Defaults to None: normal distribution of deviation 0.02.
        **kwargs: ``distance``, ``normalize``, ``loss_weight``, ``feature_net`` of
            :class:`FSeSimLoss`.

    Raises:
        ValueError: If an argument is unknown or out of range.

    >>> network = dict(type='sesim_mmagic.VGG16Features', pretrained=None, seed=0, width=0.125)
    >>> loss = LSeSimLoss(layers=['relu2_2'], patch_size=8, feature_net=network)
    >>> source, translated, target = torch.rand(3, 1, 3, 32, 32) * 2 - 1
    >>> features = loss.extract(source), loss.extract(translated)
    >>> loss.learn(*features, source, target).backward()  # the heads' own objective
    >>> loss(source, translated).shape
    torch.Size([])
    """

    def __init__(
        self,
        layers: Sequence[str] = ('relu3_1', 'relu4_1', 'relu4_3'),
        num_patches: int = 256,
        patch_size: int = 32,
        temperature: float = 0.07,
        use_augmented_view: bool = True,
        colour_map: float = 0.0,
        heads: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(layers, num_patches, patch_size, **kwargs)
        check_numbers(self, above=0, temperature=temperature)
        check_flags(self, use_augmented_view=use_augmented_view)
        check_numbers(self, least=0, most=1, colour_map=colour_map)
        self.temperature = temperature
        self.use_augmented_view = use_augmented_view
        self.colour_map = colour_map
        self._calls = 0
        self._views_seed: int | None = None
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

    def project(self, features: list[Tensor]) -> list[Tensor]:
        """Features through the heads, which no gradient reaches: they learn by :meth:`learn`."""
        return [
            functional_call(head, {name: w.detach() for name, w in head.named_parameters()}, maps)
            for head, maps in zip(self.heads.values(), features, strict=True)
        ]

    def learn(
        self,
        source_features: list[Tensor],
        translated_features: list[Tensor],
        source: Tensor,
        target: Tensor,
    ) -> Tensor:
        """The heads' own objective, without the loss weight.

        Positives are the translation and a view of the source; negatives the target image and
        its view, turned by 180 degrees so that not even a paired target has the source's
        structure. For the arguments see :meth:`LearnedStructureLoss.learn`.
        """
        anchor, translated = _detached(source_features), _detached(translated_features)
        positives, negatives = [translated], [self.extract(target.flip(2, 3))]
        if self.use_augmented_view:
            source_view, target_view = self.make_views(source, target)
            positives.append(self.extract(source_view))
            negatives.append(self.extract(target_view.flip(2, 3)))
        return self.contrast(anchor, positives, negatives)

    def contrast(
        self,
        anchor: list[Tensor],
        positives: Sequence[list[Tensor]],
        negatives: Sequence[list[Tensor]],
    ) -> Tensor:
        """Contrastive loss of the heads (:func:`info_nce`), averaged over layers and positives.

        Args:
            anchor (list[Tensor]): Features of the source (see :meth:`extract`).
            positives (Sequence[list[Tensor]]): Features of images of the source's structure.
            negatives (Sequence[list[Tensor]]): As many, of images of another structure.

        Returns:
            Tensor: A non-negative scalar, whose gradient reaches the heads.
        """
        losses = []
        for head, *layer in zip(self.heads.values(), anchor, *positives, *negatives, strict=True):
            features = [head(maps) for maps in layer]
            maps = self._similarity(torch.cat(features), self._draw_positions(features[0]))
            anchor_maps, *others = maps.split(len(features[0]))
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

    def make_views(self, *batches: Tensor) -> list[Tensor]:
        """Views of images that differ in appearance alone (see :func:`appearance_view`).

        The draws of a picture follow from the seed and the iteration of the training and from the
        picture's number in the batches of all ranks: a resumed training and one on several ranks
        have the views of an unbroken one and of one on a single rank.

        Args:
            *batches (Tensor): Shape (B, 3, H, W), values in [-1, 1], in :attr:`channel_order`.

        Returns:
            list[Tensor]: The same shapes and range.
        """
        # MMEngine's runner publishes seed and iteration; without a runner, calls are counted.
        run = MessageHub.get_current_instance().runtime_info
        if self._views_seed is None:
            # Ranks may have seeds of their own, and after a resume all have that of the first.
            first = torch.tensor(run.get('seed', 0))
            broadcast(first)
            self._views_seed = int(first)
        moment = self._views_seed, run.get('iter', self._calls)
        self._calls += 1
        views = []
        for role, images in enumerate(batches):
            levels = (127.5 * (images.detach() + 1)).round().clamp(0, 255).byte()
            pictures = []
            for number, picture in enumerate(levels, start=get_rank() * len(levels)):
                seed = zlib.crc32(repr((*moment, role, number)).encode())
                generator = torch.Generator().manual_seed(seed)
                rgb = picture.flip(0) if self.channel_order == 'bgr' else picture
                view = appearance_view(rgb, generator, self.colour_map)
                pictures.append(view.flip(0) if self.channel_order == 'bgr' else view)
            views.append((torch.stack(pictures).to(images) / 127.5 - 1).contiguous())
        return views


def _detached(features: list[Tensor]) -> list[Tensor]:
    return [maps.detach() for maps in features]


def projection_head(channels: int) -> nn.Sequential:
    """Two 1 x 1 convolutions from ``channels`` to ``max(32, channels // 4)`` channels."""
    width = max(32, channels // 4)
    head = nn.Sequential(nn.Conv2d(channels, width, 1), nn.ReLU(), nn.Conv2d(width, width, 1))
    for name, parameter in head.named_parameters():
        if name.endswith('weight'):
            nn.init.normal_(parameter, std=0.02)
        else:
            nn.init.zeros_(parameter)
    return head
