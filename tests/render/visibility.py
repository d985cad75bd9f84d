"""Which points of a posed mesh the viewer sees, in NumPy and float64: for the tests of what is carried."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from diffusionrig.render.posing import Posed


def surface(shown: Posed, faces: Tensor, row: int, points: Tensor) -> np.ndarray:
    """(S, S, 3) float64: where in ``points`` (V, 3) lies what each pixel of ``shown`` shows; nan beyond the head."""
    face, weights = shown.fragments.face[row], shown.fragments.barycentric[row].double()
    corners = points.double()[faces[face.clamp_min(0)]]
    place = (weights / weights.sum(-1, keepdim=True).clamp_min(1e-9))[..., None] * corners
    return torch.where((face >= 0)[..., None], place.sum(-2), torch.nan).numpy()


def depth_behind(places: np.ndarray, points: Tensor, faces: Tensor) -> np.ndarray:
    """(N,) how far ``places`` (N, 3) of the image plane lie behind the nearest surface of the mesh ``points`` (V, 3) before
    them: a ray through every triangle, without pixels. At most 0 where nothing hides them."""
    a, b, c = (points.double()[faces[:, corner]].numpy() for corner in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    kept = np.abs(area) > 1e-12
    a, b, c, area = a[kept], b[kept], c[kept], area[kept]
    low, high = (edge(edge(a[:, :2], b[:, :2]), c[:, :2]) for edge in (np.minimum, np.maximum))
    behind = np.empty(len(places))
    for row, (x, y, z) in enumerate(places):
        near = np.flatnonzero((low[:, 0] <= x) & (x <= high[:, 0]) & (low[:, 1] <= y) & (y <= high[:, 1]))
        p, q, r = a[near], b[near], c[near]
        second = ((x - p[:, 0]) * (r[:, 1] - p[:, 1]) - (y - p[:, 1]) * (r[:, 0] - p[:, 0])) / area[near]
        third = ((q[:, 0] - p[:, 0]) * (y - p[:, 1]) - (q[:, 1] - p[:, 1]) * (x - p[:, 0])) / area[near]
        inside = (second >= 0) & (third >= 0) & (second + third <= 1)
        depths = p[:, 2] + second * (q[:, 2] - p[:, 2]) + third * (r[:, 2] - p[:, 2])
        behind[row] = z - depths[inside].min() if inside.any() else -np.inf
    return behind
