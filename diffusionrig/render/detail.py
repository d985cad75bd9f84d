"""Detail of a head as a displacement map in texture space, and the normals it gives: DECA (Feng et al. 2021)."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from diffusionrig.errors import RigError
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.mesh import vertex_normals
from diffusionrig.render.face_views import in_texture_space
from diffusionrig.render.rasterizer import Fragments

MARGIN_ACROSS, MARGIN_DOWN = 2, 5
"""Columns and rows at either side of the texture that the grid of texels leaves out; row and column ``size - 1 - margin`` is
its last."""


def displacement_map(predicted: Tensor, face_mask: Tensor, fixed: Tensor) -> Tensor:
    """Metres along the normal (B, 1, h, w): what the decoder ``predicted`` (B, 1, h, w) within ``face_mask`` (h, w) 0..1
    (face and eyes), plus what is ``fixed`` (h, w) of every head."""
    return predicted * face_mask + fixed


def displaced(head: HeadModel, vertices: Tensor, displacement: Tensor, texels: Fragments) -> tuple[Tensor, Tensor]:
    """Places of the texels, moved, and smooth normals of the coarse head, both (B, 3, h, w); zero between the islands.

    ``vertices`` (B, V, 3) metres, ``displacement`` (B, 1, h, w), ``texels`` from ``texture_fragments`` at h x w. The normals
    are interpolated and not renormalised, as published: the displacement is that much shorter.
    """
    if displacement.shape[-2:] != texels.face.shape[-2:]:
        raise RigError(f"A displacement map of {tuple(displacement.shape[-2:])} does not fit texels of "
                       f"{tuple(texels.face.shape[-2:])}; make both of one size.")
    both = torch.cat([vertices, vertex_normals(vertices, head.faces)], -1)
    places, normals = in_texture_space(texels, head, both).split(3, 1)
    return places + displacement * normals, normals


@lru_cache(maxsize=4)
def texel_grid(height: int, width: int) -> Tensor:
    """Triangles (F, 3) between the texels of a grid, numbered row by row, within the margins.

    Each cell is cut from its upper right to its lower left corner, counter-clockwise seen on the texture: outwards.
    """
    rows = torch.arange(MARGIN_DOWN, height - 1 - MARGIN_DOWN)
    columns = torch.arange(MARGIN_ACROSS, width - 1 - MARGIN_ACROSS)
    first = (rows[:, None] * width + columns).reshape(-1)
    below = first + width
    return torch.cat([torch.stack([first, below, first + 1], 1), torch.stack([first + 1, below, below + 1], 1)])


def detail_normals(head: HeadModel, vertices: Tensor, displacement: Tensor, texels: Fragments,
                   face_mask: Tensor | None = None) -> Tensor:
    """Normals (B, 3, h, w) of the displaced texels, world frame; the arguments as for ``displaced``.

    With ``face_mask`` (h, w) 0..1 they give way to the coarse normals outside it, as in DiffusionRig's copy of DECA (Ding
    et al. 2023); without one they stand everywhere, as in DECA and EMOCA (Danecek et al. 2022).
    """
    places, coarse = displaced(head, vertices, displacement, texels)
    height, width = places.shape[-2:]
    grid = texel_grid(height, width).to(places.device)
    fine = vertex_normals(places.flatten(2).transpose(1, 2), grid).transpose(1, 2).unflatten(2, (height, width))
    return fine if face_mask is None else fine * face_mask + coarse * (1 - face_mask)
