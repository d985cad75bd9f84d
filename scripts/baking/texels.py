"""What lies under each texel of the new atlas: part, place on the mean head, place in MakeHuman's atlas."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import torch

from diffusionrig.render.rasterizer import rasterize

from .atlas import SIZE, Atlas
from .crop import Crop
from .surface import vertex_normals

OVERSAMPLING = 4


@dataclasses.dataclass
class Texels:
    """Maps over the oversampled atlas (4 SIZE, 4 SIZE); outside the islands they repeat the nearest island texel."""

    part: np.ndarray
    position: np.ndarray
    normal: np.ndarray
    old_uv: np.ndarray
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

    normals = vertex_normals(vertices, crop.triangles)
    return Texels(crop.triangle_part[face], spread(vertices, corners), spread(normals, corners),
                  spread(crop.uv, crop.uv_triangles[face]), covered)


def reduce(image: np.ndarray) -> np.ndarray:
    """(4 S, 4 S, ...) -> (S, S, ...): mean over each texel."""
    shape = (SIZE, OVERSAMPLING, SIZE, OVERSAMPLING, *image.shape[2:])
    return image.reshape(shape).mean((1, 3))
