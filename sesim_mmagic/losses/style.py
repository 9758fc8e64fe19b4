"""Style loss: distance between Gram matrices of features."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sesim_mmagic.functional import gram_matrix
from sesim_mmagic.registry import MODELS
from sesim_mmagic.utils.checks import check_numbers


@MODELS.register_module()
class StyleLoss(nn.Module):
    """L1 distance between the Gram matrices of two images' features, summed over layers.

    As in F-LSeSim it is divided by the number of images once more than a mean over them.

    Args:
        layers (Sequence[str]): Layers of the feature network.
            Defaults to ('relu1_2', 'relu2_2', 'relu3_3', 'relu4_3').
        loss_weight (float): Factor on the loss. Defaults to 1.
        feature_net (dict): Config of the feature network; ``layers`` is added.
            Defaults to VGG16 with torchvision's ImageNet weights, BGR input.
    """

    def __init__(
        self,
        layers: Sequence[str] = ('relu1_2', 'relu2_2', 'relu3_3', 'relu4_3'),
        loss_weight: float = 1.0,
        feature_net: dict | None = None,
    ) -> None:
        super().__init__()
        check_numbers(self, least=0, loss_weight=loss_weight)
        self.loss_weight = loss_weight
        feature_net = feature_net or dict(type='sesim_mmagic.VGG16Features')
        self.feature_net = MODELS.build({**feature_net, 'layers': layers})
        self.channel_order = self.feature_net.channel_order

    def init_weights(self) -> None:
        """Read the feature network's weights; called once before training."""
        self.feature_net.init_weights()

    def forward(self, style: Tensor, translated: Tensor) -> Tensor:
        """How far the translation's style is from that of real images.

        Args:
            style (Tensor): Images of the target domain, (B, 3, H, W), values in [-1, 1].
            translated (Tensor): Translations, same B and range, any size.

        Returns:
            Tensor: A non-negative scalar, loss weight included.
        """
        with torch.no_grad():
            wanted = [gram_matrix(f) for f in self.feature_net(style).values()]
        found = [gram_matrix(f) for f in self.feature_net(translated).values()]
        distances = [F.l1_loss(f, w) for f, w in zip(found, wanted, strict=True)]
        return self.loss_weight / len(style) * torch.stack(distances).sum()
