"""The frames of a clip that tell best who is in it: sharp, towards the camera, and unlike each other."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from diffusionrig.faces.face import Face
from diffusionrig.faces.landmark_indices import LEFT_EYE_CORNER, RIGHT_EYE_CORNER
from diffusionrig.faces.mesh import cut, region_of_points
from diffusionrig.geometry.arkit import ARKIT_NAMES

ROOM = 0.45
"""Of the face's box, kept around it on each side: what a capture looks at."""

LARGEST = 448
"""Side in pixels to which larger cuts are reduced: finer detail tells a capture nothing."""

YAW = np.deg2rad(12.0)
OPEN, SMILING = 0.25, 0.35
"""Where one kind of frame ends and the next begins: head turned, jaw open, smile."""

SHARPNESS_VIEW = 96
_JAW = ARKIT_NAMES.index("jawOpen")
_SMILE = [ARKIT_NAMES.index(name) for name in ("mouthSmileLeft", "mouthSmileRight")]


@dataclasses.dataclass(frozen=True)
class Portrait:
    """``image`` (H, W, 3) uint8, cut out around a ``face``, whose coordinates are those of the cut; ``worth`` above 0, more is
    better; ``number`` of the frame."""

    image: np.ndarray
    face: Face
    worth: float
    number: int


class Gallery:
    """Of each kind of frame (turned left, ahead, right; jaw and smile) the best one so far; at most a dozen."""

    def __init__(self) -> None:
        self._best: dict[tuple[int, bool, bool], Portrait] = {}

    def __len__(self) -> int:
        return len(self._best)

    def look(self, image: np.ndarray, face: Face, number: int) -> None:
        """Keep the face where it is better than what there is of its kind; ties go to the earlier frame."""
        kind, worth = kind_of(face), worth_of(image, face)
        if kind not in self._best or worth > self._best[kind].worth:
            self._best[kind] = portrait(image, face, number, worth)

    def join(self, other: Gallery) -> None:
        """Take what another gallery of the same person has better."""
        for kind, theirs in other._best.items():
            if kind not in self._best or theirs.worth > self._best[kind].worth:
                self._best[kind] = theirs

    def best(self, count: int) -> list[Portrait]:
        """At most ``count``, best first."""
        return sorted(self._best.values(), key=lambda one: (-one.worth, one.number))[:count]


def kind_of(face: Face) -> tuple[int, bool, bool]:
    """Turned to one side (-1), ahead (0) or to the other (1); jaw open; smiling."""
    assert face.coefficients is not None
    yaw = yaw_of(face)
    return (int(yaw > YAW) - int(yaw < -YAW), bool(face.coefficients[_JAW] > OPEN),
            bool(face.coefficients[_SMILE].mean() > SMILING))


def yaw_of(face: Face) -> float:
    """Radians by which the line between the eyes leaves the picture plane."""
    assert face.points is not None
    across = (face.points[LEFT_EYE_CORNER] - face.points[RIGHT_EYE_CORNER]).astype(np.float64)
    return float(np.arctan2(across[2], np.hypot(across[0], across[1])))


def worth_of(image: np.ndarray, face: Face) -> float:
    """How much a capture of this frame is likely to tell: sharpness over contrast, times presence, times the cosine of the turn."""
    assert face.points is not None
    grey = cut(image, region_of_points(face.points), SHARPNESS_VIEW).astype(np.float32).mean(-1)
    sharp = float(cv2.Laplacian(grey, cv2.CV_32F).std() / (grey.std() + 4.0))
    size = min(1.0, face.size / SHARPNESS_VIEW)
    return max(sharp, 1e-6) * size * face.presence * max(float(np.cos(yaw_of(face))), 0.05) ** 2


def portrait(image: np.ndarray, face: Face, number: int, worth: float = 1.0, largest: int = LARGEST) -> Portrait:
    """The face with its surroundings, cut out of its frame; at most ``largest`` pixels on a side."""
    assert face.points is not None
    height, width = image.shape[:2]
    low = np.floor(face.box[:2] - ROOM * face.size).astype(int).clip(0, [width - 1, height - 1])
    high = np.ceil(face.box[2:] + ROOM * face.size).astype(int).clip(low + 1, [width, height])
    part = np.ascontiguousarray(image[low[1]:high[1], low[0]:high[0]])
    ratio = min(1.0, largest / max(part.shape[:2]))
    offset = low.astype(np.float32)
    scale = np.ones(2, np.float32)
    if ratio < 1:
        wide, high_ = (max(1, round(side * ratio)) for side in (part.shape[1], part.shape[0]))
        scale = np.array([wide / part.shape[1], high_ / part.shape[0]], np.float32)
        part = cv2.resize(part, (wide, high_), interpolation=cv2.INTER_AREA)
    else:
        part = part.copy()

    def moved(points: np.ndarray) -> np.ndarray:
        return ((points - offset + 0.5) * scale - 0.5).astype(np.float32)

    points = np.concatenate([moved(face.points[:, :2]), face.points[:, 2:] * scale.mean()], 1).astype(np.float32)
    return Portrait(part, dataclasses.replace(face, box=moved(face.box.reshape(2, 2)).reshape(4), points68=moved(face.points68),
                                              points=points), worth, number)
