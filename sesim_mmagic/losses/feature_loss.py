"""Structure losses that see images through a frozen network."""

from collections.abc import Sequence

from torch import Tensor, nn

from sesim_mmagic.registry import MODELS
from sesim_mmagic.utils.checks import check_many, check_numbers

from .structure_loss import StructureLoss


class FeatureLoss(StructureLoss):
    """A structure loss that compares feature maps of a fixed network.

    Args:
        layers (Sequence[str]): Layers of the feature network.
        loss_weight (float): Factor on the loss.
        feature_net (dict, optional): Config of the feature network; ``layers`` is added.
            Defaults to None: VGG16 with torchvision's ImageNet weights, BGR input.
    """

    def __init__(
        self, layers: Sequence[str], loss_weight: float, feature_net: dict | None = None
    ) -> None:
        super().__init__()
        check_numbers(self, least=0, loss_weight=loss_weight)
        check_many(self, layers=layers)
        if feature_net and tuple(feature_net.get('layers', layers)) != tuple(layers):
            raise ValueError(
                f'{type(self).__name__}: set layers of the loss, not of its feature_net, which '
                'extracts these'
            )
        self.loss_weight = loss_weight
        feature_net = feature_net or dict(type='sesim_mmagic.VGG16Features')
        self.feature_net = MODELS.build({**feature_net, 'layers': layers})
        self.channel_order = self.feature_net.channel_order

    def extract(self, images: Tensor, generator: nn.Module | None = None) -> list[Tensor]:
        """Feature maps of the layers, each of shape (B, C, h, w)."""
        return list(self.feature_net(images).values())
