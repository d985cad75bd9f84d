"""Landmarks as FLAME embeds them: places on triangles, the contour chosen by how far the head is turned."""

from __future__ import annotations

import torch
from torch import Tensor

CONTOUR = 17
"""Points 0-16 of the 68 are the contour of the face; the other 51 stay where they are on the surface."""

MOST_YAW = 39
"""Degrees of yaw beyond which the contour moves no further; its table has 1 + 2 * 39 rows."""


def points_on(vertices: Tensor, faces: Tensor, face: Tensor, barycentric: Tensor) -> Tensor:
    """Points (B, N, 3) of meshes (B, V, 3), (F, 3) at triangles ``face`` (N,) or (B, N) with weights (N, 3) or (B, N, 3)."""
    batch = torch.arange(len(vertices), device=vertices.device)[:, None, None]
    corners = vertices[batch, faces[face].expand(len(vertices), -1, -1)]
    return (corners * barycentric[..., None].to(vertices.dtype)).sum(2)


def contour_row(rotation: Tensor) -> Tensor:
    """Rows (B,) of the contour table for head rotations (B, 3, 3).

    Yaw in whole degrees, half to even, clamped to 39: rows 0..39 turn towards +x (the subject's left), rows 40..78 are
    -1..-39. The rule of DECA (Feng et al. 2021), whose sign agrees with the table.
    """
    yaw = torch.atan2(-rotation[:, 2, 0], torch.hypot(rotation[:, 0, 0], rotation[:, 1, 0]))
    degrees = torch.rad2deg(yaw).round().long().clamp(-MOST_YAW, MOST_YAW)
    return torch.where(degrees < 0, MOST_YAW - degrees, degrees)
