"""Attributes of vertices -> attributes of pixels."""

from __future__ import annotations

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
    covered, count, channels = fragments.covered, attributes.shape[-2], attributes.shape[-1]
    chosen = fragments.face.reshape(-1).index_select(0, covered)
    start = covered.div(height * width, rounding_mode="floor") * count if attributes.ndim == 3 else 0
    weights = fragments.barycentric.movedim(-1, 0).reshape(3, -1).index_select(1, covered).to(attributes.dtype)
    planar = attributes.movedim(-1, 0).reshape(channels, -1)
    a, b, c = (weight * planar.index_select(1, faces[:, corner].index_select(0, chosen) + start)
               for corner, weight in enumerate(weights))
    image = attributes.new_zeros(channels, batch * height * width)
    image = image.scatter(1, covered.expand(channels, -1), a + b + c)
    return image.view(channels, batch, height, width).transpose(0, 1).contiguous()
