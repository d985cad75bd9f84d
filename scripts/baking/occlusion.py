"""How open to the sky each vertex is: seen from many directions, is anything in front of it?"""

from __future__ import annotations

import numpy as np
import torch

from diffusionrig.render.rasterizer import rasterize

from .surface import vertex_normals

DIRECTIONS, RESOLUTION, TOLERANCE, RADIUS = 96, 384, 0.0015, 0.21


def _sphere(count: int) -> np.ndarray:
    """Even directions: a Fibonacci spiral (count, 3)."""
    step = np.arange(count) + 0.5
    height, turn = 1 - 2 * step / count, step * np.pi * (3 - np.sqrt(5))
    return np.stack([np.sqrt(1 - height ** 2) * np.cos(turn), height, np.sqrt(1 - height ** 2) * np.sin(turn)], 1)


def openness(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(V,) 0..1: cosine-weighted share of the directions above a vertex in which the mesh leaves it free."""
    normals = vertex_normals(vertices, triangles)
    centred = vertices - (vertices.min(0) + vertices.max(0)) / 2
    free, total = np.zeros(len(vertices)), np.zeros(len(vertices))
    faces = torch.tensor(triangles)
    for direction in _sphere(DIRECTIONS):
        across = np.cross([0.0, 1.0, 0.0] if abs(direction[1]) < 0.9 else [1.0, 0.0, 0.0], direction)
        across /= np.linalg.norm(across)
        up = np.cross(direction, across)
        plane = np.stack([centred @ across, -centred @ up, 10 * RADIUS - centred @ direction], 1) / RADIUS
        depth = rasterize(torch.tensor(plane, dtype=torch.float32)[None], faces, RESOLUTION, RESOLUTION).depth[0].numpy()
        column, row = (np.clip(((plane[:, k] + 1) / 2 * RESOLUTION).astype(int), 0, RESOLUTION - 1) for k in (0, 1))
        cosine = np.maximum(normals @ direction, 0)
        # The tolerance grows where the surface is seen at a slant, since depth changes across one pixel there.
        slack = TOLERANCE / RADIUS * (1 + 1 / np.maximum(cosine, 0.1))
        free += cosine * (plane[:, 2] <= depth[row, column] + slack)
        total += cosine
    return smoothed(free / np.maximum(total, 1e-9), triangles, 2)


def smoothed(values: np.ndarray, triangles: np.ndarray, rounds: int) -> np.ndarray:
    """Mean over each vertex and its neighbours, repeated."""
    edges = np.concatenate([triangles[:, [i, (i + 1) % 3]] for i in range(3)])
    for _ in range(rounds):
        total, count = values.copy(), np.ones(len(values))
        for a, b in (edges.T, edges.T[::-1]):
            np.add.at(total, a, values[b])
            np.add.at(count, a, 1)
        values = total / count
    return values
