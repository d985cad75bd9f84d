"""PSNR and SSIM, over the whole image or inside a mask."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from diffusionrig.errors import RigError

MOST_PSNR = 100.0
"""Equal images would have an infinite PSNR, which JSON cannot say."""

SIGMA = 1.5
"""Of the Gaussian window of SSIM, pixels."""

STEADY = (0.01**2, 0.03**2)
"""C1 and C2 of SSIM, for values in [0, 1]."""


def _weights(images: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return torch.ones_like(images[:, :1])
    if mask.shape != images[:, :1].shape:
        raise RigError(f"A mask of shape {tuple(mask.shape)} does not fit images of shape {tuple(images.shape)}.")
    return mask.to(images.dtype)


def _averaged(values: Tensor, weight: Tensor) -> Tensor:
    """Mean (B,) of (B, C, H, W) by weights (B, 1, H, W)."""
    total = weight.flatten(1).sum(1)
    if bool((total <= 0).any()):
        raise RigError("The mask of an image is empty, so nothing can be measured inside it.")
    return (values * weight).flatten(1).sum(1) / (total * values.shape[1])


def psnr(images: Tensor, truth: Tensor, mask: Tensor | None = None) -> Tensor:
    """Peak signal-to-noise ratio in dB, (B,); images (B, C, H, W) in [0, 1], optional mask (B, 1, H, W) of weights.

    Infinite for equal images. RigError when the mask of an image is empty or of another size.
    """
    return -10 * torch.log10(_averaged((images - truth).square(), _weights(images, mask)))


def ssim(images: Tensor, truth: Tensor, mask: Tensor | None = None, window: int = 11) -> Tensor:
    """Structural similarity (Wang et al., 2004), (B,): Gaussian window with sigma 1.5, C1 = 0.01^2, C2 = 0.03^2.

    Images (B, C, H, W) in [0, 1], both sides at least ``window``. The similarity map is averaged over channels and over the
    pixels whose window lies within the image, as the paper has it; with a mask (B, 1, H, W) over those of them inside it.
    RigError when that leaves nothing, or the images are smaller than the window.
    """
    if min(images.shape[2:]) < window:
        raise RigError(f"SSIM looks at windows of {window} pixels, but an image has {images.shape[3]} x {images.shape[2]}.")
    edge = window // 2
    weight = _weights(images, mask)[:, :, edge:images.shape[2] - edge, edge:images.shape[3] - edge]
    maps = torch.cat([images, truth, images.square(), truth.square(), images * truth])
    mean, other, square, other_square, product = _blurred(maps, window).chunk(5)
    spread = square - mean.square() + other_square - other.square()
    shared = product - mean * other
    first, second = STEADY
    similarity = ((2 * mean * other + first) * (2 * shared + second)
                  / ((mean.square() + other.square() + first) * (spread + second)))
    return _averaged(similarity, weight)


def _blurred(maps: Tensor, window: int) -> Tensor:
    """(N, C, H, W) under the Gaussian window, where it lies within: (N, C, H - window + 1, W - window + 1)."""
    places = torch.arange(window, dtype=maps.dtype, device=maps.device) - window // 2
    kernel = torch.exp(-places.square() / (2 * SIGMA**2))
    kernel = kernel / kernel.sum()
    single = maps.flatten(0, 1)[:, None]
    across = functional.conv2d(functional.conv2d(single, kernel[None, None, None]), kernel[None, None, :, None])
    return across.reshape(*maps.shape[:2], *across.shape[2:])
