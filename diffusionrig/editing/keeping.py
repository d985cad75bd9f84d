"""What an edit keeps of the source picture, through the noise that it is drawn from.

Inverting the sampler under the source's own buffers gives a noise that holds all of the picture which buffers and latent do
not say: hair, background, the detail of this skin in this light (Song et al. 2021, section 4.3). Decoded under edited buffers
it gives these back. Where the head itself changed shape, that noise would pull the old mouth or profile back in, so fresh
noise takes its place there.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d, pad

from diffusionrig.render.buffers import PhysicalBuffers

KEEPS = ("none", "background", "all")
"""none: fresh noise everywhere, as published. background: the source's noise outside of the head. all: the source's noise
wherever the head has kept its shape."""

CHANGED = 0.7
"""Difference of normals or albedo at which a pixel counts as wholly changed."""

ROUNDING = 1e-4
"""Difference of normals or albedo that means nothing: buffers of one code differ by up to 2e-5 from batch to batch."""

REFINEMENTS = 2
"""Fixed-point iterations of each inverted step; two bring a photograph back at over 40 dB with 20 steps."""

FINEST = 64
"""Side in pixels at which borders are one pixel wide; they grow with the picture."""


def renewed(keep: str, source: PhysicalBuffers, edited: PhysicalBuffers) -> Tensor:
    """(B, 1, H, W) in 0..1: the share of fresh noise, from the buffers of the source and of the edit.

    Light is left out on purpose: a pixel that is only lit differently keeps its detail.
    """
    if keep == "background":
        share = torch.maximum(source.alpha, edited.alpha)
    else:
        apart = torch.cat([source.normal - edited.normal, source.albedo - edited.albedo], 1)
        # Noise grows with the root of the share, so rounding that is not taken off would be seen.
        share = ((apart.abs().amax(1, keepdim=True) - ROUNDING) / (CHANGED - 2 * ROUNDING)).clamp(0, 1)
    return spread(share)


def spread(share: Tensor) -> Tensor:
    """A share (B, 1, H, W) in 0..1, a border wider and with soft edges; where it was 1 it stays 1."""
    radius = _border(share)
    return smoothed(max_pool2d(share, 2 * radius + 1, 1, radius))


def smoothed(image: Tensor) -> Tensor:
    """Means over squares of one border around each pixel."""
    radius = _border(image)
    return avg_pool2d(pad(image, (radius,) * 4, mode="replicate"), 2 * radius + 1, 1)


def _border(image: Tensor) -> int:
    return max(1, round(image.shape[-1] / FINEST))


def mix_noise(kept: Tensor, fresh: Tensor, share: Tensor) -> Tensor:
    """Two independent noises (B, C, H, W) as one of the same variance: sqrt(1 - share) kept + sqrt(share) fresh."""
    return (1 - share).sqrt() * kept + share.sqrt() * fresh
