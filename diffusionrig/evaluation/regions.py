"""Where faces and backgrounds are on a picture."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.render.interpolation import interpolate
from diffusionrig.render.physical import placed_vertices, rasterize_points

FACE_REGIONS = ("face", "lips", "eyes", "inner_mouth", "teeth", "tongue")

MARGIN = 32
"""The background begins a 32nd of the picture's side away from a head."""


def face_region(head: HeadModel, code: FaceCode, centre: Tensor, size: int) -> Tensor:
    """Where the face, eyes and mouth (not ears, neck or scalp) of one code show, (size, size) in 0..1."""
    mask = torch.stack([head.regions[name] for name in FACE_REGIONS]).amax(0)
    with torch.no_grad():
        _, points = placed_vertices(head, code, centre)
        fragments = rasterize_points(points, head.faces, size)
        return interpolate(fragments, head.faces, mask[:, None])[0, 0].clamp(0, 1)


def background(*alphas: Tensor) -> Tensor:
    """(B, 1, H, W): 1 where none of the heads ``alphas`` (each (B, 1, H, W) in 0..1) is, nor near; else 0."""
    heads = torch.stack(alphas).amax(0)
    radius = max(1, round(heads.shape[-1] / MARGIN))
    return (max_pool2d((heads > 0).to(heads.dtype), 2 * radius + 1, 1, radius) == 0).to(heads.dtype)
