"""Points on the skin: a dense, even set of samples that landmarks are chosen from, and small mesh helpers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from .crop import Crop


def vertex_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Area-weighted unit normals (V, 3)."""
    corner = vertices[triangles]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    total = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(total, triangles[:, k], normal)
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)


@dataclasses.dataclass
class Samples:
    """Points of the surface: triangle (S,), barycentric (S, 3), position (S, 3), normal (S, 3), uv in the old atlas."""

    triangle: np.ndarray
    bary: np.ndarray
    position: np.ndarray
    normal: np.ndarray
    uv: np.ndarray

    def nearest(self, cost: np.ndarray) -> int:
        """Index of the smallest cost."""
        return int(np.argmin(cost))


def sample_skin(crop: Crop, vertices: np.ndarray, steps: int = 8, behind: float = -0.13) -> Samples:
    """A grid on every triangle of the skin in front of ``z = behind``."""
    triangles = crop.triangles
    chosen = np.flatnonzero((crop.triangle_part == "head") & (vertices[triangles][..., 2].mean(1) > behind))
    grid = np.array([(i, j, steps - i - j) for i in range(steps + 1) for j in range(steps + 1 - i)], np.float64) / steps
    normals = vertex_normals(vertices, triangles)
    triangle = np.repeat(chosen, len(grid))
    bary = np.tile(grid, (len(chosen), 1))
    normal = np.einsum("gk,tkd->tgd", grid, normals[triangles[chosen]]).reshape(-1, 3)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    position = np.einsum("gk,tkd->tgd", grid, vertices[triangles[chosen]]).reshape(-1, 3)
    uv = np.einsum("gk,tkd->tgd", grid, crop.uv[crop.uv_triangles[chosen]]).reshape(-1, 2)
    # Rounded, so that copies of a point on neighbouring triangles tie exactly and the first of them is chosen everywhere.
    return Samples(triangle, bary, np.round(position, 9), np.round(normal, 6), np.round(uv, 9))


def border_loop(crop: Crop, first: str, second: str) -> np.ndarray:
    """Vertices along the border between two parts, in order round it."""
    shared = crop.vertices_of(first) & crop.vertices_of(second)
    edges = np.concatenate([crop.quads[crop.part == first][:, [i, (i + 1) % 4]] for i in range(4)])
    edges = edges[shared[edges].all(1)]
    _, index, count = np.unique(np.sort(edges, 1), axis=0, return_index=True, return_counts=True)
    following = {int(a): int(b) for a, b in edges[index[count == 1]]}
    loop = [min(following)]
    while following[loop[-1]] != loop[0]:
        loop.append(following[loop[-1]])
    return np.array(loop)


def half_loop(loop: np.ndarray, upper: bool, vertices: np.ndarray) -> np.ndarray:
    """One half of a lid or lip loop from its smallest to its largest x."""
    points = vertices[loop]
    start, end = points[:, 0].argmin(), points[:, 0].argmax()
    turned = np.roll(loop, -start)
    split = (end - start) % len(loop)
    halves = [turned[:split + 1], np.concatenate([turned[split:], turned[:1]])[::-1]]
    high = int(vertices[halves[1]][:, 1].mean() > vertices[halves[0]][:, 1].mean())
    return vertices[halves[high if upper else 1 - high]]


def along(path: np.ndarray, fractions: Sequence[float] | np.ndarray) -> np.ndarray:
    """Points (K, 3) at ``fractions`` of the arc length of a polyline (N, 3)."""
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    return np.stack([np.interp(np.asarray(fractions) * length[-1], length, path[:, k]) for k in range(3)], 1)
