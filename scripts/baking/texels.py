"""What lies under each texel of the new atlas: part, place on the mean head, place in MakeHuman's atlas."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import torch

from diffusionrig.render.rasterizer import rasterize

from .atlas import SIZE, Atlas
from .crop import Crop
from .occlusion import openness
from .surface import along, border_loop, half_loop

OVERSAMPLING = 4


@dataclasses.dataclass
class Texels:
    """Maps over the oversampled atlas (4 SIZE, 4 SIZE); outside the islands they repeat the nearest island texel."""

    part: np.ndarray
    position: np.ndarray
    old_uv: np.ndarray
    openness: np.ndarray
    lid_distance: np.ndarray
    lid_upper: np.ndarray
    covered: np.ndarray

    def is_part(self, *names: str) -> np.ndarray:
        """1.0 where the part is one of ``names``."""
        return np.isin(self.part, names).astype(np.float64)


def survey(crop: Crop, vertices: np.ndarray, atlas: Atlas) -> Texels:
    """Rasterise the atlas."""
    size = SIZE * OVERSAMPLING
    flat = np.concatenate([atlas.vt * [2, -2] + [-1, 1], np.ones((len(atlas.vt), 1))], 1)
    seen = rasterize(torch.tensor(flat, dtype=torch.float32)[None], torch.tensor(atlas.ft), size, size)
    face, bary = seen.face[0].numpy(), seen.barycentric[0].double().numpy()
    covered = face >= 0
    # Every texel between islands takes after the nearest texel of an island, so that sampling never meets a seam.
    _, label = cv2.distanceTransformWithLabels((~covered).astype(np.uint8), cv2.DIST_L2, 5,
                                               labelType=cv2.DIST_LABEL_PIXEL)
    source = np.zeros(label.max() + 1, np.int64)
    source[label[covered]] = np.flatnonzero(covered.ravel())
    face, bary = face.ravel()[source[label]], bary.reshape(-1, 3)[source[label]]
    bary = bary / bary.sum(-1, keepdims=True)
    corners = crop.triangles[face]

    def spread(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return (values[rows] * bary[..., None]).sum(-2)

    position = spread(vertices, corners)
    distance, upper = _lids(crop, vertices, position)
    return Texels(crop.triangle_part[face], position, spread(crop.uv, crop.uv_triangles[face]),
                  spread(openness(vertices, crop.triangles)[:, None], corners)[..., 0], distance, upper, covered)


def _lids(crop: Crop, vertices: np.ndarray, position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance to the nearest lid margin (at most 1 cm), and whether that is an upper lid's."""
    distance, upper = np.full(position.shape[:2], 0.01), np.zeros(position.shape[:2], bool)
    for side in "LR":
        margin = border_loop(crop, "head", f"eye_cavity.{side}")
        near = np.nonzero(np.linalg.norm(position - vertices[margin].mean(0), axis=-1) < 0.03)
        best = distance[near]
        for is_upper in (True, False):
            line = along(half_loop(margin, is_upper, vertices), np.linspace(0.04, 0.96, 120))
            found = np.sqrt(((position[near][:, None] - line) ** 2).sum(-1).min(1))
            upper[near] = np.where(found < best, is_upper, upper[near])
            best = np.minimum(best, found)
        distance[near] = best
    return distance, upper


def reduce(image: np.ndarray) -> np.ndarray:
    """(4 S, 4 S, ...) -> (S, S, ...): mean over each texel."""
    shape = (SIZE, OVERSAMPLING, SIZE, OVERSAMPLING, *image.shape[2:])
    return image.reshape(shape).mean((1, 3))
