"""Whole photographs around an edit: their faces cut out beforehand, the results put back afterwards."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from diffusionrig.editing.analysis import Analysis
from diffusionrig.editing.background import STILL, turned
from diffusionrig.editing.full_size import carry_back
from diffusionrig.editing.pasting import paste_back
from diffusionrig.editing.request import Result
from diffusionrig.errors import RigError, UsageError
from diffusionrig.faces.alignment import align, ffhq_quad
from diffusionrig.faces.backends import FaceFinder
from diffusionrig.faces.face import Face
from diffusionrig.faces.placement import read_placement
from diffusionrig.io.files import sha256_of
from diffusionrig.io.sheets import to_uint8
from diffusionrig.render.carrying import Carried

ALIGNED = 0.15
"""Distance of the FFHQ square's corners from those of the picture, in sides of the picture, up to which the picture is an aligned
face already (0.01 at most among the pictures that ``diffusionrig align`` cut; other aligners' differ more)."""

LARGEST = 2048
"""Side in pixels of pictures in which faces are looked for; larger ones are shrunk, which finds the same faces in a tenth of the
time."""

CUT_OFF = 4
"""Landmarks out of 68 beyond the photograph with which a face counts as cut off."""


@dataclasses.dataclass(frozen=True)
class Cut:
    """An aligned face's place: ``matrix`` takes pixels of the file ``photo`` to those of the aligned picture of ``size``.

    ``whole`` says that it was cut out of a photograph which shows more, in which ``others`` are the boxes (4,) of other faces.
    """

    photo: Path
    matrix: np.ndarray
    size: int
    whole: bool = True
    others: tuple[np.ndarray, ...] = ()


def uncut(image: np.ndarray, photo: Path) -> Cut:
    """The place of an aligned picture (H, W, 3) in itself: its centred square, as networks see it."""
    height, width = image.shape[:2]
    side = min(height, width)
    matrix = np.array([[1.0, 0.0, -((width - side) // 2)], [0.0, 1.0, -((height - side) // 2)], [0.0, 0.0, 1.0]])
    return Cut(photo, matrix, side, whole=False)


def find_faces(image: np.ndarray, finder: FaceFinder) -> list[Face]:
    """All faces of a photograph (H, W, 3) uint8, largest first: boxes, scores and 68 landmarks in its pixels."""
    scale = max(1.0, max(image.shape[:2]) / LARGEST)
    height, width = (round(side / scale) for side in image.shape[:2])
    small = image if scale == 1 else cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    ratio = np.array([image.shape[1] / width, image.shape[0] / height], np.float32)

    def grown(points: np.ndarray) -> np.ndarray:
        return (points + 0.5) * ratio - 0.5

    # Thoroughly: also those that are to be left alone must be known.
    faces = finder.detect(small, thorough=True)
    faces = [dataclasses.replace(face, box=grown(face.box.reshape(2, 2)).reshape(4), points68=grown(face.points68), points=None)
             for face in faces] if scale != 1 else faces
    return sorted(faces, key=lambda face: -face.size)


def is_aligned(face: Face, shape: tuple[int, ...]) -> bool:
    """Whether a picture of this ``shape`` (H, W, ...) is an aligned face already: the face's FFHQ square is nearly all of it."""
    height, width = shape[:2]
    corners = np.array([[-0.5, -0.5], [-0.5, height - 0.5], [width - 0.5, height - 0.5], [width - 0.5, -0.5]])
    try:
        return bool(np.abs(ffhq_quad(face.points68) - corners).max() <= ALIGNED * min(height, width))
    except ValueError:  # landmarks that span no face
        return False


def cut_face(image: np.ndarray, photo: Path, finder: FaceFinder, size: int, number: int = 1) -> tuple[np.ndarray, Cut]:
    """A face of a photograph (H, W, 3) uint8 as ``diffusionrig align`` cuts it: the largest, or that of ``number`` by size.

    RigError when there is none, or fewer than that, or when the frame cuts it off.
    """
    return cut_found(image, photo, find_faces(image, finder), size, number)


def cut_found(image: np.ndarray, photo: Path, faces: Sequence[Face], size: int, number: int = 1) -> tuple[np.ndarray, Cut]:
    """As ``cut_face``, of ``faces`` that ``find_faces`` found."""
    if not faces:
        raise RigError("no face was found; give a photograph that shows the face from the front, larger and well lit")
    if number > len(faces):
        there = "one face" if len(faces) == 1 else f"{len(faces)} faces"
        raise RigError(f"--face {number} was asked for, but {there} can be seen; they are counted by size from 1, the largest")
    face = faces[number - 1]
    beyond = (face.points68 < -0.5) | (face.points68 > np.array([image.shape[1], image.shape[0]]) - 0.5)
    if beyond.any(1).sum() >= CUT_OFF:
        raise RigError("the face is cut off by the frame; give a photograph that shows all of it")
    try:
        aligned = align(image, face.points68, size)
    except ValueError as error:
        raise RigError(f"a face was found, but {error}") from error
    others = tuple(other.box for i, other in enumerate(faces) if i != number - 1)
    return aligned.image, Cut(photo, aligned.matrix, size, others=others)


def find_cuts(aligned: Sequence[Path], place: Path) -> list[Cut]:
    """Where the pictures ``aligned`` lie in their photograph ``place``, or in the photographs below the folder ``place``.

    UsageError when a picture does not say so, or when the photograph found is not the one that it was cut from.
    """
    if not place.exists():
        raise UsageError(f"There is no photograph at {place}; check --paste_back.")
    cuts = []
    for path in aligned:
        where = read_placement(path)
        name = PurePosixPath(where.photo)
        if name.is_absolute() or ".." in name.parts:
            raise UsageError(f"{path} names a photograph outside of {place}; give that photograph itself as --paste_back.")
        photo = place / name if place.is_dir() else place
        if not photo.is_file():
            raise UsageError(f"{path} was cut from {where.photo}, which is not in {place}; give the folder that was aligned, or "
                             "the photograph, as --paste_back.")
        if sha256_of(photo) != where.sha256:
            raise UsageError(f"{photo} is not the file that {path} was cut from ({where.photo}), or was changed since; give that "
                             "one as --paste_back, or align again.")
        cuts.append(Cut(photo, where.matrix, where.size))
    return cuts


def in_photograph(cut: Cut, photo: np.ndarray, result: np.ndarray, source: np.ndarray, carried: Carried | None = None,
                  still: bool = False) -> np.ndarray:
    """The photograph of ``cut`` as it was read with ``result`` in the place of ``source``, both (S, S, 3) uint8; along the flow, in
    all of its resolution, where the result was drawn on the ``carried`` source (batch 1), whose head is ``still`` or turns."""
    if carried is not None:
        return carry_back(photo, result, source, carried, cut.matrix, cut.size, cut.others, still)
    return paste_back(photo, result, source, cut.matrix, cut.size, cut.others)


def whole_picture(cut: Cut, photo: np.ndarray, result: Result, source: Analysis) -> np.ndarray:
    """The photograph of ``cut`` as it was read with the ``result`` of an edit of its ``source`` (batch 1); itself where the edit
    asks for nothing."""
    if result.request.edit.nothing:
        return photo
    shown = to_uint8(source.images[0].cpu().numpy(), -1, 1)
    still = float(turned(source.code, result.code)[0]) <= STILL
    return in_photograph(cut, photo, result.image, shown, result.carried, still)
