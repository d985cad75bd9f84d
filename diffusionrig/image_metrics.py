"""PSNR and SSIM, over the whole image or inside a mask."""

from __future__ import annotations

import torch
from torch import Tensor

from diffusionrig.errors import RigError

MOST_PSNR = 100.0
"""Equal images would have an infinite PSNR, which JSON cannot say."""


def _weights(images: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return torch.ones_like(images[:, :1])
    if mask.shape != images[:, :1].shape:
        raise RigError(f"A mask of shape {tuple(mask.shape)} does not fit images of shape {tuple(images.shape)}.")
    if bool((mask.flatten(1).sum(1) <= 0).any()):
        raise RigError("The mask of an image is empty, so nothing can be measured inside it.")
    return mask.to(images.dtype)


def psnr(images: Tensor, truth: Tensor, mask: Tensor | None = None) -> Tensor:
    """Peak signal-to-noise ratio in dB, (B,); images (B, C, H, W) in [0, 1], optional mask (B, 1, H, W) of weights.

    Infinite for equal images.
    """
    weight = _weights(images, mask)
    error = ((images - truth).square() * weight).flatten(1).sum(1) / (weight.flatten(1).sum(1) * images.shape[1])
    return -10 * torch.log10(error)


def ssim(images: Tensor, truth: Tensor, mask: Tensor | None = None, window: int = 11) -> Tensor:
    """Structural similarity (Wang et al., 2004), (B,): Gaussian window with sigma 1.5, C1 = 0.01^2, C2 = 0.03^2.

    Images (B, C, H, W) in [0, 1]; the similarity map is averaged over channels and, with a mask (B, 1, H, W), inside it.
    """
    from kornia.metrics import ssim as similarity_map

    weight = _weights(images, mask)
    similarity = similarity_map(images, truth, window_size=window, max_val=1.0).mean(1, keepdim=True)
    return (similarity * weight).flatten(1).sum(1) / weight.flatten(1).sum(1)
