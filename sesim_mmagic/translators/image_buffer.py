"""History of translations for the discriminator, kept in the checkpoint."""

import numpy as np
import torch
from torch import Tensor, nn


class ImageBuffer(nn.Module):
    """Mixes new translations with earlier ones (Shrivastava et al., CVPR 2017).

    While the buffer is not full every image is stored and returned. Then each image is, with
    probability one half, swapped for a stored one. Draws come from NumPy's global generator
    in the order of MMagic's ``GANImageBuffer``, so that both give the same images.

    The stored images are a buffer of the module: they are saved with the model and come back
    with it, and a resumed training shows its discriminator what an unbroken one would have.

    Args:
        size (int): Number of images to keep; 0 returns images unchanged. Defaults to 50.

    Raises:
        ValueError: If ``size`` is negative.
    """

    def __init__(self, size: int = 50) -> None:
        super().__init__()
        if size < 0:
            raise ValueError(f'ImageBuffer: size must not be negative, got {size}')
        self.size = size
        self.register_buffer('images', torch.empty(0))

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

    def _load_from_state_dict(self, state_dict, prefix, *args, **kwargs) -> None:
        """Take over however many images were stored."""
        saved = state_dict.get(f'{prefix}images')
        if saved is not None:
            self.images = saved[: self.size].to(self.images.device, copy=True)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
