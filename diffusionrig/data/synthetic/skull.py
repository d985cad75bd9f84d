"""The head seen from its middle: how far the skin is in every direction, and where the hair ends."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import torch

from diffusionrig.render.rasterizer import rasterize

_ROWS, _COLUMNS = 72, 144


@dataclasses.dataclass(frozen=True, eq=False)
class Skull:
    """Distances from ``centre`` (3,) to the skin by elevation (rows, +90 to -90) and azimuth (columns, -180 to 180),
    metres; and heights of the face: brow, eye and nose base, metres, in the rest frame of the head."""

    centre: np.ndarray
    radius: np.ndarray
    brow: float
    eye: float
    nose: float

    def distance(self, directions: np.ndarray) -> np.ndarray:
        """Distance to the skin along unit ``directions`` (..., 3), bilinear: (...)."""
        column = (np.arctan2(directions[..., 0], directions[..., 2]) / np.pi + 1) / 2 * _COLUMNS - 0.5
        row = (0.5 - np.arcsin(np.clip(directions[..., 1], -1, 1)) / np.pi) * _ROWS - 0.5
        left, top = np.floor(column).astype(int), np.clip(np.floor(row).astype(int), 0, _ROWS - 2)
        x, y = column - left, np.clip(row - top, 0.0, 1.0)
        a, b = left % _COLUMNS, (left + 1) % _COLUMNS
        upper = (1 - x) * self.radius[top, a] + x * self.radius[top, b]
        lower = (1 - x) * self.radius[top + 1, a] + x * self.radius[top + 1, b]
        return (1 - y) * upper + y * lower

    def hairline(self, azimuth: np.ndarray, shift: float, receding: float) -> np.ndarray:
        """Height (metres) of the edge of the scalp at ``azimuth`` (degrees): see ``hairline``."""
        return hairline(azimuth, (self.brow, self.eye, self.nose), shift, receding)


def hairline(azimuth: np.ndarray, face: tuple[float, float, float], shift: float, receding: float) -> np.ndarray:
    """Height of the edge of the scalp at ``azimuth`` (degrees, 0 in front) for ``face``: heights of brow, eye and nose base.

    ``shift`` raises the front and ``receding`` the temples, metres.
    """
    brow, eye, nose = face
    third = brow - nose
    front = brow + 0.84 * third + shift
    at = [0, 22, 40, 55, 68, 78, 88, 97, 108, 122, 136, 155, 180]
    height = [front, front + 0.001, front - 0.004 + receding, brow + 0.45 * third, eye + 0.012, eye - 0.018, eye - 0.022,
              eye + 0.024, eye + 0.026, eye + 0.004, eye - 0.040, eye - 0.062, eye - 0.066]
    return np.interp(np.abs(azimuth), at, height)


@dataclasses.dataclass(frozen=True, eq=False)
class SkullRays:
    """Where rays in all directions from the middle of the mean head leave it: vertex indices (rows, columns, 3), their
    weights (rows, columns, 3), found (rows, columns), the vertices
    ``middle`` and ``top`` that place the centre, and the ``centre`` (3,) of the mean head."""

    corners: np.ndarray
    weights: np.ndarray
    found: np.ndarray
    middle: np.ndarray
    top: np.ndarray
    centre: np.ndarray


def cast_rays(vertices: np.ndarray, faces: np.ndarray, landmarks: np.ndarray) -> SkullRays:
    """From mean rest ``vertices`` (V, 3), the ``faces`` (F, 3) of the skin without the ears, and 68 ``landmarks``."""
    used = np.unique(faces)
    above = used[vertices[used, 1] > landmarks[36:48, 1].mean() + 0.03]
    middle = above[np.abs(vertices[above, 0]) < 0.02]
    top = used[np.argsort(-vertices[used, 1])[:12]]
    centre = _centre(vertices, middle, top)
    offset = vertices - centre
    radius = np.linalg.norm(offset, axis=1)
    azimuth = np.arctan2(offset[:, 0], offset[:, 2]) / np.pi
    elevation = np.arcsin(np.clip(offset[:, 1] / np.maximum(radius, 1e-9), -1, 1)) / (np.pi / 2)
    around = azimuth[faces]
    faces = faces[around.max(1) - around.min(1) < 1.0]  # not those across the seam at the back
    plane = torch.from_numpy(np.stack([azimuth, -elevation, 1.0 - radius], 1)).float()[None]
    fragments = rasterize(plane, torch.from_numpy(faces), _ROWS, _COLUMNS)
    face, weights = fragments.face[0].numpy(), fragments.barycentric[0].numpy()
    return SkullRays(faces[np.maximum(face, 0)], weights, face >= 0, middle, top, centre)


def _centre(vertices: np.ndarray, middle: np.ndarray, top: np.ndarray) -> np.ndarray:
    depth = vertices[middle, 2]
    return np.array([0.0, vertices[top, 1].mean() - 0.087, (depth.min() + depth.max()) / 2])


def measure_skull(vertices: np.ndarray, rays: SkullRays, landmarks: np.ndarray) -> Skull:
    """The skull of a person with rest ``vertices`` (V, 3) and ``landmarks`` (68, 3)."""
    centre = _centre(vertices, rays.middle, rays.top)
    radius = np.linalg.norm(vertices - centre, axis=1)
    table = (radius[rays.corners] * rays.weights).sum(-1)
    return Skull(centre, _fill(table, rays.found), float(landmarks[17:27, 1].max()), float(landmarks[36:48, 1].mean()),
                 float(landmarks[33, 1]))


def _fill(table: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Fill gaps (ears, seam, poles) from their surroundings by repeated averaging, round the seam; then smooth."""
    value, weight = np.where(found, table, 0.0), found.astype(float)
    filled, known = value.copy(), found.copy()
    for reach in (3, 7, 15, 31):
        def mean(picture: np.ndarray, reach: int = reach) -> np.ndarray:
            wrapped = np.concatenate([picture[:, -reach:], picture, picture[:, :reach]], 1)
            return cv2.blur(wrapped, (2 * reach + 1, reach), borderType=cv2.BORDER_REPLICATE)[:, reach:-reach]

        share = mean(weight)
        gap = ~known & (share > 0.05)
        filled[gap] = (mean(value)[gap] / share[gap])
        known |= gap
    filled[~known] = filled[known].mean()
    wrapped = np.concatenate([filled[:, -3:], filled, filled[:, :3]], 1)
    return cv2.GaussianBlur(wrapped, (0, 0), 0.8, borderType=cv2.BORDER_REPLICATE)[:, 3:-3]
