"""Nearest places of a triangle mesh."""

from __future__ import annotations

import torch
from torch import Tensor

NEIGHBOURS = 8
"""Nearest vertices whose triangles are looked at. The nearest place may in principle lie on another triangle, where
triangles are much longer than they are wide."""


def closest_places(points: Tensor, vertices: Tensor, faces: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Nearest place on the mesh (V, 3), (F, 3) to each of ``points`` (N, 3): triangle (N,), weights (N, 3), distance (N,)."""
    around = _triangles_around(faces, len(vertices))
    lone = (around < 0).all(1)
    distance = torch.cdist(points, vertices).masked_fill(lone, float("inf"))
    near = distance.topk(NEIGHBOURS, largest=False).indices
    candidates = around[near].flatten(1)
    weights = _closest_in_triangles(points[:, None], vertices[faces[candidates.clamp_min(0)]])
    off = ((weights[..., None] * vertices[faces[candidates.clamp_min(0)]]).sum(2) - points[:, None]).norm(dim=-1)
    best = off.masked_fill(candidates < 0, float("inf")).argmin(1)
    rows = torch.arange(len(points), device=points.device)
    return candidates[rows, best], weights[rows, best], off[rows, best]


def _triangles_around(faces: Tensor, count: int) -> Tensor:
    """(V, most) triangles at each vertex, filled up with -1."""
    corner, order = faces.reshape(-1).sort(stable=True)
    number = torch.bincount(corner, minlength=count)
    rank = torch.arange(len(corner), device=faces.device) - (number.cumsum(0) - number)[corner]
    table = faces.new_full((count, int(number.max())), -1)
    table[corner, rank] = order.div(3, rounding_mode="floor")
    return table


def _closest_in_triangles(points: Tensor, corners: Tensor) -> Tensor:
    """Weights (..., 3) of the nearest place in triangles (..., 3, 3): the foot of the perpendicular or the nearest edge's."""
    first, second, third = corners.unbind(-2)
    to, across, along = points - first, second - first, third - first
    aa, ab, bb = (across * across).sum(-1), (across * along).sum(-1), (along * along).sum(-1)
    pa, pb = (to * across).sum(-1), (to * along).sum(-1)
    area = (aa * bb - ab * ab).clamp_min(1e-30)
    v, w = (bb * pa - ab * pb) / area, (aa * pb - ab * pa) / area
    best = torch.stack([1 - v - w, v, w], -1)
    outside = best.min(-1).values < 0
    nearest = torch.full_like(v, float("inf"))
    for i, j in ((0, 1), (1, 2), (2, 0)):
        start, edge = corners[..., i, :], corners[..., j, :] - corners[..., i, :]
        step = (((points - start) * edge).sum(-1) / (edge * edge).sum(-1).clamp_min(1e-30)).clamp(0, 1)
        off = (start + step[..., None] * edge - points).square().sum(-1)
        on_edge = torch.zeros_like(best)
        on_edge[..., i], on_edge[..., j] = 1 - step, step
        take = outside & (off < nearest)
        best = torch.where(take[..., None], on_edge, best)
        nearest = torch.where(take, off, nearest)
    return best
