"""Looking a texture up at each pixel."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import grid_sample


def texture_plane(uv: Tensor) -> Tensor:
    """Texture coordinates (..., 2), v = 1 at the top row, -> sampling plane [-1, 1] with y down: (2u - 1, 1 - 2v)."""
    u, v = uv.unbind(-1)
    return torch.stack([u * 2 - 1, -(v * 2 - 1)], -1)


def sample_texture(texture: Tensor, grid: Tensor) -> Tensor:
    """Bilinear values (B, C, H, W) of ``texture`` (B, C, h, w) at ``grid`` (B, 2, H, W) in the sampling plane.

    -1 and 1 are the outer edges of the texture (``align_corners=False``); beyond them it fades to zero.
    """
    return grid_sample(texture, grid.permute(0, 2, 3, 1), mode="bilinear", padding_mode="zeros", align_corners=False)
