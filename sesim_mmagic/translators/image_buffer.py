"""History of translations for the discriminator, kept in the checkpoint."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sesim_mmagic.utils.checks import check_ints


class ImageBuffer(nn.Module):
    """Mixes new translations with earlier ones (Shrivastava et al., CVPR 2017).

    While the buffer is not full every image is stored and returned. Then each image is, with
    probability one half, swapped for a stored one. Draws come from NumPy's global generator
    in the order of MMagic's ``GANImageBuffer``, so that both give the same images.

    The stored images are saved with the model and come back with it, so that a resumed training
    shows its discriminator what an unbroken one would have. They are not a *buffer* of the module
    in PyTorch's sense: they grow, differ between ranks and are nothing to average, which hooks do
    with all buffers that they find (MMEngine's ``EMAHook`` and ``SyncBuffersHook``).

    Args:
        size (int): Number of images to keep; 0 returns images unchanged. Defaults to 50.

    Raises:
        ValueError: If ``size`` is negative.
    """

    def __init__(self, size: int = 50) -> None:
        super().__init__()
        check_ints(self, 0, size=size)
        self.size = size
        self.images = torch.empty(0)

    @torch.no_grad()
    def query(self, images: Tensor) -> Tensor:
        """Store images and give back as many, new or stored.

        Args:
            images (Tensor): Shape (B, C, H, W).

        Returns:
            Tensor: Same shape, detached.
        """
        if self.size == 0:
            return images.detach()
        self.images = self.images.to(images.device)
        return torch.stack([self._query_one(image) for image in images])

    def _query_one(self, image: Tensor) -> Tensor:
        if len(self.images) < self.size:
            stored = image[None].clone()
            self.images = torch.cat([self.images, stored]) if len(self.images) else stored
            return image
        if np.random.random() < 0.5:
            index = np.random.randint(0, self.size)
            earlier = self.images[index].to(image.dtype, copy=True)
            self.images[index] = image
            return earlier
        return image

    # MMagic's buffers are asked by call of `query`; ours hold no computation graph either.
    forward = query

    def _save_to_state_dict(
        self, destination: dict[str, Tensor], prefix: str, keep_vars: bool
    ) -> None:
        """Save the stored images with the model."""
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[f'{prefix}images'] = self.images

    def _load_from_state_dict(
        self, state_dict: dict[str, Tensor], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        """Take over however many images were stored."""
        saved = state_dict.pop(f'{prefix}images', None)
        if saved is not None:
            self.images = saved[: self.size].to(self.images.device, copy=True)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
