"""The rasteriser's rules, slowly: one triangle after another, one row of numpy float32 at a time."""

from __future__ import annotations

import numpy as np

f32 = np.float32
EPSILON = 1e-8


def pixel_coordinate(index: np.ndarray, size: int, other: int) -> np.ndarray:
    """Coordinate of pixel ``index`` counted from the far end, in an axis pointing left or up."""
    extent = f32(2.0) if size <= other else f32(f32(size) * f32(2.0)) / f32(other)
    half = extent / f32(2.0)
    return -half + (extent * index.astype(f32) + half) / f32(size)


def edge(px, py, ax, ay, bx, by):
    return (px - ax) * (by - ay) - (py - ay) * (bx - ax)


def rasterize_slowly(vertices: np.ndarray, faces: np.ndarray, height: int, width: int):
    """(V, 3) float32, (F, 3) -> face (H, W), barycentric (H, W, 3), depth (H, W) with -1, 0, -1 where empty."""
    x, y, z = -vertices[:, 0], -vertices[:, 1], vertices[:, 2]
    if height > width:
        y = y * f32(height) / f32(width)
    elif width > height:
        x = x * f32(width) / f32(height)
    columns = pixel_coordinate(np.arange(width)[::-1], width, height)
    rows = pixel_coordinate(np.arange(height)[::-1], height, width)
    face = np.full((height, width), -1, np.int64)
    depth = np.full((height, width), -1, f32)
    barycentric = np.zeros((height, width, 3), f32)
    with np.errstate(all="ignore"):
        for number, (a, b, c) in enumerate(faces):
            area = edge(x[a], y[a], x[b], y[b], x[c], y[c])
            if -EPSILON <= float(area) <= EPSILON or float(min(z[a], z[b], z[c])) < EPSILON:
                continue
            j = np.flatnonzero((columns >= min(x[a], x[b], x[c])) & (columns <= max(x[a], x[b], x[c])))
            for i in np.flatnonzero((rows >= min(y[a], y[b], y[c])) & (rows <= max(y[a], y[b], y[c]))):
                px, py = columns[j], rows[i]
                whole = f32(float(edge(x[c], y[c], x[a], y[a], x[b], y[b])) + EPSILON)
                w = [edge(px, py, x[b], y[b], x[c], y[c]) / whole, edge(px, py, x[c], y[c], x[a], y[a]) / whole,
                     edge(px, py, x[a], y[a], x[b], y[b]) / whole]
                d = w[0] * z[a] + w[1] * z[b] + w[2] * z[c]
                seen = (w[0] > 0) & (w[1] > 0) & (w[2] > 0) & (d >= 0) & ((face[i, j] < 0) | (d < depth[i, j]))
                k = j[seen]
                face[i, k], depth[i, k] = number, d[seen]
                barycentric[i, k] = np.stack(w, -1)[seen]
    return face, barycentric, depth
