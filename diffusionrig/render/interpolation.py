"""Attributes of vertices -> attributes of pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from diffusionrig.render.rasterizer import Fragments


def interpolate(fragments: Fragments, faces: Tensor, attributes: Tensor) -> Tensor:
    """Values at each pixel (B, C, H, W), exactly 0 where no face is seen.

    ``attributes`` is (B, V, C), or (V, C) for all images alike; ``faces`` (F, 3) indexes them: the faces that were
    rasterised, or others of the same number and order (texture coordinates have faces of their own). The sum is
    w0 a0 + w1 a1 + w2 a2 with the barycentric coordinates as they are, not renormalised. Gradients flow to the
    attributes and, through the barycentric coordinates, to the rasterised vertices.
    """
    batch, height, width = fragments.face.shape
    covered, count, channels, area = fragments.covered, attributes.shape[-2], attributes.shape[-1], height * width
    chosen = fragments.face.reshape(-1).index_select(0, covered)
    image = covered.div(area, rounding_mode="floor")
    start = image * count if attributes.ndim == 3 else 0
    weights = fragments.barycentric.movedim(-1, 0).reshape(3, -1).index_select(1, covered).to(attributes.dtype)
    planar = attributes.movedim(-1, 0).reshape(channels, -1)
    a, b, c = (weight * planar.index_select(1, faces[:, corner].index_select(0, chosen) + start)
               for corner, weight in enumerate(weights))
    plane = torch.arange(channels, device=covered.device)[:, None] * area
    index = covered + image * ((channels - 1) * area) + plane
    values = attributes.new_zeros(batch * channels * area).scatter(0, index.view(-1), (a + b + c).view(-1))
    return values.view(batch, channels, height, width)
