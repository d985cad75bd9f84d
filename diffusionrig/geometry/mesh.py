"""Normals of triangle meshes."""

from __future__ import annotations

import torch
from torch import Tensor

NORMAL_FLOOR = 1e-6
"""Sums of face normals shorter than this are divided by it, not by their length (metres squared; as in DECA)."""


def vertex_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """(B, V, 3), (F, 3) -> (B, V, 3): area-weighted means of the normals around each vertex, unit length.

    Outward where the faces are wound counter-clockwise seen from outside. A vertex without faces, or with degenerate
    ones only, gets a shorter normal down to zero.
    """
    batch, count, _ = vertices.shape
    # One row of memory per coordinate: gathering and scattering single numbers along it is several times faster.
    planar = vertices.transpose(1, 2).reshape(batch * 3, count)
    corners = faces.t().contiguous()
    first, second, third = (planar.index_select(1, corner).view(batch, 3, -1) for corner in corners)
    a, b = second - first, third - first
    normals = torch.stack([a[:, 1] * b[:, 2] - a[:, 2] * b[:, 1],
                           a[:, 2] * b[:, 0] - a[:, 0] * b[:, 2],
                           a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]], 1).view(batch * 3, -1)
    total = torch.zeros_like(planar)
    for corner in corners:
        total = total.scatter_add(1, corner.expand(batch * 3, -1), normals)
    total = total.view(batch, 3, count)
    # The floor goes under the square: a root of zero would have no gradient.
    length = (total * total).sum(1, keepdim=True).clamp_min(NORMAL_FLOOR ** 2).sqrt()
    return (total / length).transpose(1, 2)
