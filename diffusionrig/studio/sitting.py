"""A photograph that was handed to the studio, and the face of it that sits for the edits."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from diffusionrig.editing.conditions import REFERENCE
from diffusionrig.editing.pasting import scaling
from diffusionrig.editing.photographs import Cut, find_faces
from diffusionrig.editing.prepared import Prepared
from diffusionrig.editing.rig import Rig
from diffusionrig.editing.sampling import Sampling
from diffusionrig.editing.sides import chosen_face, without_profiles
from diffusionrig.errors import RigError
from diffusionrig.faces.backends import FaceFinder
from diffusionrig.faces.face import Face
from diffusionrig.io.images import decode_image

FACE_SIDE, LONGEST = 720, 1600
"""Pixels of the face's square and of the longer side that the copy on the screen has at most."""


@dataclasses.dataclass(frozen=True, eq=False)
class Photograph:
    """``image`` (H, W, 3) uint8 under the ``name`` of its file, and its ``faces``, largest first."""

    name: str
    image: np.ndarray
    faces: Sequence[Face]


@dataclasses.dataclass(frozen=True, eq=False)
class Sitting:
    """Face ``number`` of a photograph, captured and ready to be edited.

    cut       where its aligned picture lies in the photograph
    prepared  (batch 1)
    screen    (h, w, 3) uint8 copy of the photograph for the screen, and ``screen_cut``, where the face lies in that
    """

    photograph: Photograph
    number: int
    cut: Cut
    prepared: Prepared
    screen: np.ndarray
    screen_cut: Cut

    @property
    def confidence(self) -> float:
        """Of the capture, 0..1."""
        return float(self.prepared.faces.code.confidence[0])

    @property
    def note(self) -> str:
        """What is doubtful about the capture; empty when nothing is."""
        return self.prepared.faces.notes[0]


def open_photograph(data: bytes, name: str, finder: FaceFinder, max_megapixels: float) -> Photograph:
    """The photograph in the bytes of a file; RigError in one sentence when there is none, or it is too large."""
    image = decode_image(data, name, max_megapixels)
    return Photograph(name, image, find_faces(image, finder))


def sit(rig: Rig, photograph: Photograph, number: int = 1, profiles: bool = False) -> Sitting:
    """Capture face ``number`` of a photograph as ``edit`` does; RigError when it cannot be used. Faces in profile can only be
    taken from, ``profiles``, where the model carries photographs."""
    path = Path(photograph.name)
    try:
        array, cut = chosen_face(photograph.image, path, photograph.faces, rig.size, None, number)
    except RigError as error:
        raise type(error)(f"{photograph.name}: {error}") from error
    faces = rig.capture([array])
    if not profiles and rig.pretrained.condition == REFERENCE:
        faces = without_profiles(faces)
    if not bool(faces.found[0]):
        raise RigError(f"{photograph.name}: {faces.notes[0]}")
    screen, screen_cut = _for_screen(photograph.image, cut)
    return Sitting(photograph, number, cut, rig.painter.prepare(faces, Sampling()), screen, screen_cut)


def _for_screen(image: np.ndarray, cut: Cut) -> tuple[np.ndarray, Cut]:
    side = cut.size / float(np.sqrt(abs(np.linalg.det(cut.matrix))))
    height, width = image.shape[:2]
    scale = min(1.0, FACE_SIDE / side, LONGEST / max(height, width))
    if scale == 1.0:
        return image, cut
    small = cv2.resize(image, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA)
    across, down = (scaling(before, after) for before, after in ((width, small.shape[1]), (height, small.shape[0])))
    to_small = np.array([across[0], down[1], [0.0, 0.0, 1.0]])

    def shrunk(box: np.ndarray) -> np.ndarray:
        corners = np.concatenate([box.reshape(2, 2), np.ones((2, 1))], 1)
        return np.asarray((corners @ to_small.T)[:, :2].reshape(4))

    return small, dataclasses.replace(cut, matrix=cut.matrix @ np.linalg.inv(to_small), others=tuple(map(shrunk, cut.others)))


def thumbnails(photograph: Photograph, side: int = 96, most: int = 12) -> list[np.ndarray]:
    """Small squares (side, side, 3) around its largest faces, to choose from."""
    return [_around(photograph.image, face.box, side) for face in photograph.faces[:most]]


def _around(image: np.ndarray, box: np.ndarray, side: int) -> np.ndarray:
    reach = 0.75 * float(max(box[2] - box[0], box[3] - box[1], 2))
    x, y = float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2
    low = [max(0, int(centre - reach)) for centre in (x, y)]
    high = [min(limit, int(centre + reach) + 1) for limit, centre in ((image.shape[1], x), (image.shape[0], y))]
    part = image[low[1]:max(high[1], low[1] + 1), low[0]:max(high[0], low[0] + 1)]
    return cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA)


def small(image: np.ndarray, longest: int) -> np.ndarray:
    """(h, w, 3) copy of an image (H, W, 3) of at most so many pixels on the longer side."""
    scale = longest / max(image.shape[:2])
    if scale >= 1:
        return image
    width, height = (max(1, round(side * scale)) for side in (image.shape[1], image.shape[0]))
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
