"""Grey previews of a head's shape, for overlays and contact sheets."""

from __future__ import annotations

import torch
from torch import Tensor

from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.mesh import vertex_normals
from diffusionrig.render.interpolation import interpolate
from diffusionrig.render.physical import Size, placed_vertices, rasterize_points

_GREY = 180 / 255
_LIGHTS = ((-1, 1, 1), (1, 1, 1), (-1, -1, 1), (1, -1, 1), (0, 0, 1))
_INTENSITY = 1.7
_FACING = 0.15  # largest z of a projected normal, which points at the viewer when negative, that is still shown


def render_shape(head: HeadModel, code: FaceCode, size: Size, centre: Tensor | None = None,
                 background: Tensor | None = None, rasterizer: str = "torch") -> Tensor:
    """Matte grey heads (B, 3, H, W) in 0..1 under five directional lights, over ``background`` (B, 3, H, W) or black.

    Frame, ``centre`` and ``rasterizer`` as in ``render_buffers``. Surfaces that face away are left out, so that the
    inside of an open neck does not show. The preview of DECA (Feng et al. 2021).
    """
    vertices, points = placed_vertices(head, code, centre)
    fragments = rasterize_points(points, head.faces, size, rasterizer)
    both = torch.cat([vertex_normals(vertices, head.faces), vertex_normals(points, head.faces)[..., 2:]], -1)
    normals, facing = interpolate(fragments, head.faces, both).split([3, 1], 1)
    directions = torch.nn.functional.normalize(normals.new_tensor(_LIGHTS), dim=-1)
    shading = sum((normals * direction[:, None, None]).sum(1, keepdim=True).clamp(0, 1) for direction in directions)
    grey = (_GREY * _INTENSITY / len(_LIGHTS) * shading).clamp(0, 1).expand(-1, 3, -1, -1)
    shown = (fragments.face >= 0)[:, None] & (facing < _FACING)
    return torch.where(shown, grey, torch.zeros_like(grey) if background is None else background)
