"""Which face of a picture is captured."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from diffusionrig.faces.backends import FaceFinder
from diffusionrig.faces.face import Face

SMALL = 256
"""Images whose longer side is below this are enlarged to it before landmarks are sought."""


def find_face(image: np.ndarray, landmarker: FaceFinder) -> Face | None:
    """The face that an aligned picture is about: large and near the middle; None when there is none."""
    height, width = image.shape[:2]
    scale = max(1.0, SMALL / max(height, width))
    if scale > 1:
        enlarged = cv2.resize(image, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_CUBIC)
        ratio = np.array([enlarged.shape[1] / width, enlarged.shape[0] / height])
        faces = [_shrink(face, ratio) for face in landmarker.detect(enlarged)]
    else:
        faces = landmarker.detect(image)
    middle = np.array([width, height]) / 2
    def importance(face: Face) -> float:
        away = np.hypot(*((face.box[:2] + face.box[2:]) / 2 - middle)) / np.hypot(*middle)
        return face.size / max(width, height) - float(away)

    return max(faces, key=importance, default=None)


def _shrink(face: Face, ratio: np.ndarray) -> Face:
    def back(points: np.ndarray) -> np.ndarray:
        return ((points + 0.5) / ratio - 0.5).astype(np.float32)

    points = face.points
    if points is not None:
        points = np.concatenate([back(points[:, :2]), points[:, 2:] / ratio.mean()], 1).astype(np.float32)
    return dataclasses.replace(face, box=back(face.box.reshape(2, 2)).reshape(4), points68=back(face.points68), points=points)
