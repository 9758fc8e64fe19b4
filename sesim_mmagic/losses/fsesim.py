"""FSeSim: self-similarity of fixed features."""

from collections.abc import Sequence

import torch
from torch import Tensor

from sesim_mmagic.functional import sample_positions, self_similarity, spatial_distance
from sesim_mmagic.functional.self_similarity import check_distance
from sesim_mmagic.registry import MODELS
from sesim_mmagic.utils.checks import check_flags, check_ints

from .feature_loss import FeatureLoss


@MODELS.register_module()
class FSeSimLoss(FeatureLoss):
    """Spatially-correlative loss on fixed VGG16 features (Zheng et al., CVPR 2021, Sec. 3.1).

    Per layer: draw query positions, the same for source and translation; map each query's
    similarity to the keys around it; compare the maps, which hold no appearance::

        loss = loss_weight * mean over layers of d(S(source), S(translated))

    with ``S`` of :func:`self_similarity` and ``d`` of :func:`spatial_distance`.

    Args:
        layers (Sequence[str]): Layers of the feature network.
            Defaults to ('relu3_1', 'relu4_1', 'relu4_3').
        num_patches (int): Query positions per layer; -1 for all. Defaults to 256.
        patch_size (int): Side of the window of keys, in positions of the layer's map.
            Defaults to 64.
        distance (str): 'cos' or 'l1'. Defaults to 'cos'.
        normalize (bool): Compare normalized features (cosine) or, if False, raw ones, as the
            authors' training scripts do. Defaults to True.
        loss_weight (float): Factor on the loss. Defaults to 10.
        feature_net (dict): Config of the feature network; ``layers`` is added.
            Defaults to VGG16 with torchvision's ImageNet weights, BGR input.

    Raises:
        ValueError: If an argument is unknown or out of range.

    >>> network = dict(type='sesim_mmagic.VGG16Features', pretrained=None, seed=0, width=0.125)
    >>> loss = FSeSimLoss(layers=['relu2_2'], patch_size=8, feature_net=network)
    >>> source = torch.rand(2, 3, 32, 32) * 2 - 1
    >>> bool(loss(source, source) < 1e-5), bool(loss(source, source.flip(3)) > 0.1)
    (True, True)
    """

    def __init__(
        self,
        layers: Sequence[str] = ('relu3_1', 'relu4_1', 'relu4_3'),
        num_patches: int = 256,
        patch_size: int = 64,
        distance: str = 'cos',
        normalize: bool = True,
        loss_weight: float = 10.0,
        feature_net: dict | None = None,
    ) -> None:
        super().__init__(layers, loss_weight, feature_net)
        check_ints(self, 1, (-1,), num_patches=num_patches)
        check_ints(self, 2, patch_size=patch_size)
        check_distance(distance)
        self.num_patches = num_patches
        self.patch_size = patch_size
        self.distance = distance
        check_flags(self, normalize=normalize)
        self.normalize = normalize

    def compare(self, source: list[Tensor], translated: list[Tensor]) -> Tensor:
        """Weighted spatial distance between the features of two batches, a scalar."""
        distances = []
        for layer in zip(self.project(source), self.project(translated), strict=True):
            positions = self._draw_positions(layer[0])
            source_map, translated_map = (self._similarity(maps, positions) for maps in layer)
            distances.append(
                spatial_distance(source_map, translated_map, self.distance, self.normalize)
            )
        return self.loss_weight * torch.stack(distances).mean()

    def project(self, features: list[Tensor]) -> list[Tensor]:
        """The maps whose self-similarity is compared: here the features themselves."""
        return features

    def similarity_maps(
        self, images: Tensor, points: Sequence[tuple[float, float]]
    ) -> dict[str, Tensor]:
        """Self-similarity of a few queries to the whole image, as the loss sees it.

        For figures: the training compares windows of ``patch_size`` around random queries.

        Args:
            images (Tensor): Shape (B, 3, H, W), values in [-1, 1], in :attr:`channel_order`.
            points (Sequence[tuple[float, float]]): N queries (x, y) as shares of width and
                height, from 0 to below 1; each stands for the position of the layer that it
                falls into.

        Returns:
            dict[str, Tensor]: By layer shape (B, N, h, w), cosine similarity in [-1, 1], or in
            (-1, 1) what ``normalize=False`` makes of it.

        Raises:
            ValueError: If there is no point or one lies outside the image.
        """
        check_points(points)
        maps = [self._whole_maps(f, points) for f in self.project(self.extract(images))]
        return dict(zip(self.feature_net.layers, maps, strict=True))

    def _whole_maps(self, features: Tensor, points: Sequence[tuple[float, float]]) -> Tensor:
        height, width = features.shape[2:]
        positions = torch.tensor(
            [int(y * height) * width + int(x * width) for x, y in points], device=features.device
        )
        # A window that is not smaller than the map holds every position in row-major order.
        maps = self_similarity(features, positions, max(height, width), self.normalize)
        return maps.unflatten(2, (height, width))

    def _draw_positions(self, features: Tensor) -> Tensor:
        height, width = features.shape[2:]
        return sample_positions(height, width, self.num_patches, device=features.device)

    def _similarity(self, features: Tensor, positions: Tensor) -> Tensor:
        return self_similarity(features, positions, self.patch_size, self.normalize)

    def extra_repr(self) -> str:
        return (
            f'num_patches={self.num_patches}, patch_size={self.patch_size}, '
            f'distance={self.distance!r}, normalize={self.normalize}, '
            f'loss_weight={self.loss_weight}'
        )


def check_points(points: Sequence[tuple[float, float]]) -> None:
    """Raise ``ValueError`` unless ``points`` are pairs (x, y) of shares of the size."""
    if not points or not all(len(p) == 2 and all(0 <= share < 1 for share in p) for p in points):
        raise ValueError(
            'points must be one or more pairs (x, y) of shares of width and height, from 0 to '
            f'below 1; got {points}'
        )
