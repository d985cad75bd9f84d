"""One source and its truths in one framing.

An edit takes turn, expression and light from its target; it keeps the source's camera and leaves the head where the source has
it (``geometry.alignment.ffhq_centre``). So the truth is shown as that camera would see it had it followed the head: the square
of the source, turned as the source's is, moved and scaled until the truth's head has the place and the size of the source's.
How large a head is, whatever its turn and expression, is read off landmarks that lie on bone, in three dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from diffusionrig.errors import RigError
from diffusionrig.faces.alignment import cut_square, ffhq_quad, share_outside
from diffusionrig.faces.backends import FaceFinder
from diffusionrig.faces.face import Face
from diffusionrig.geometry.alignment import ffhq_centre
from diffusionrig.io.resize import resize_square

SIDE = 256
"""Pictures are compared at this many pixels."""

FRAMINGS = {"head": "each truth is cut with the source's square, which follows place and size of the head",
            "own": "each picture is aligned by itself, as diffusionrig align does",
            "clip": "each truth is cut with the source's square as it lies, so that the head moves within it"}

BONE = (33, 133, 362, 263, 168, 6, 197, 195, 5, 10, 151, 9, 127, 356, 234, 454, 162, 389)
"""Of the 478 landmarks: corners of the eyes, bridge of the nose, middle of the forehead, temples."""

ALIGNED_WITHIN = 0.03
"""A picture whose face's own square has its corners this near (in sides) to the picture's is taken to be aligned already."""

MOST_OUTSIDE = 0.5
MOST_BEYOND = 0.1
"""As in aligning: of the square's area, and of the 68 points, what may lie beyond the photograph."""


SURE = 0.8
"""Detector score from which a frame counts as showing a face, where frames without one are to be expected: those of a caption or a
landscape that pass for a face stay below .78 on a test clip, real portraits above .87."""


@dataclass(frozen=True)
class Framed:
    """``image`` (SIDE, SIDE, 3) uint8; ``square`` (4, 2) its corners in pixels of the photograph (as ``ffhq_quad``), and the
    ``face`` found there."""

    image: np.ndarray
    square: np.ndarray
    face: Face


def frame_source(photo: np.ndarray, finder: FaceFinder, least: float = 0.0) -> Framed:
    """The best face of a photograph (H, W, 3) uint8, aligned; a picture that is aligned already is only resized.

    RigError, the reason alone, when there is none that scores ``least``, or it is cut off.
    """
    return _aligned(photo, _best([face for face in finder.detect(photo) if face.score >= least], None))


def frame_truth(photo: np.ndarray, source: Framed, finder: FaceFinder, framing: str, one_camera: bool) -> Framed:
    """The same person's face on another photograph, as comparable with ``source`` as ``framing`` (of FRAMINGS) says.

    ``one_camera``: both are frames of one clip, so that the source's turn is kept and, of several faces, the one nearest to the
    source's is taken; else each photograph has its own horizontal. RigError as ``frame_source``.
    """
    face = _best(finder.detect(photo), source.face if one_camera else None)
    if framing == "own":
        return _aligned(photo, face)
    if framing == "clip":
        return _cut(photo, source.square, face)
    return _cut(photo, _followed(source, face, one_camera), face)


def _best(faces: list[Face], near: Face | None) -> Face:
    if not faces:
        raise RigError("no face was found")
    if near is None:
        return faces[0]

    def apart(face: Face) -> float:
        way = np.hypot(*(_middle(face.box) - _middle(near.box))) / near.size
        return float(way + abs(np.log(face.size / near.size)))

    return min(faces, key=apart)


def _middle(box: np.ndarray) -> np.ndarray:
    return (box[:2] + box[2:]) / 2


def _aligned(photo: np.ndarray, face: Face) -> Framed:
    height, width = photo.shape[:2]
    square = _square_of(face)
    whole = np.array([[-0.5, -0.5], [-0.5, height - 0.5], [width - 0.5, height - 0.5], [width - 0.5, -0.5]])
    if height == width and np.abs(square - whole).max() <= ALIGNED_WITHIN * width:
        return Framed(resize_square(photo, SIDE), whole, face)
    return _cut(photo, square, face)


def _square_of(face: Face) -> np.ndarray:
    try:
        return ffhq_quad(face.points68)
    except ValueError as error:
        raise RigError(f"a face was found, but {error}") from error


def _followed(source: Framed, face: Face, one_camera: bool) -> np.ndarray:
    """The square of ``source`` after the head of ``face``."""
    if source.face.points is None or face.points is None:
        raise RigError("the face finder gives no landmarks in three dimensions")
    across, down = source.square[3] - source.square[0], source.square[1] - source.square[0]
    # Where in its square the source has the centre that edits keep, in units of the square's sides.
    place = np.linalg.solve(np.stack([across, down], 1), _centre(source.face) - source.square[0])
    scale = head_size(face) / head_size(source.face)
    if not one_camera:
        level = _square_of(face)
        along = (level[3] - level[0]) / np.hypot(*(level[3] - level[0]))
        across = along * np.hypot(*across)
        down = np.array([-across[1], across[0]])
    across, down = scale * across, scale * down
    corner = _centre(face) - place[0] * across - place[1] * down
    return np.stack([corner, corner + down, corner + down + across, corner + across])


def head_size(face: Face) -> float:
    """Root mean square distance, in pixels, of the landmarks on bone from their mean: hardly changed by turning or smiling."""
    assert face.points is not None
    points = face.points[list(BONE)].astype(np.float64)
    return float(np.sqrt(np.square(points - points.mean(0)).sum(1).mean()))


def _centre(face: Face) -> np.ndarray:
    return ffhq_centre(torch.from_numpy(face.points68[None].astype(np.float64)))[0].numpy()


def _cut(photo: np.ndarray, square: np.ndarray, face: Face) -> Framed:
    height, width = photo.shape[:2]
    beyond = ((face.points68 < -0.5) | (face.points68 > [width - 0.5, height - 0.5])).any(1).mean()
    outside = share_outside(square, width, height)
    if beyond > MOST_BEYOND or outside > MOST_OUTSIDE:
        raise RigError(f"the face is cut off by the edge of the picture ({outside:.0%} of its square is missing)")
    try:
        return Framed(cut_square(photo, square, SIDE).image, square, face)
    except ValueError as error:
        raise RigError(f"a face was found, but {error}") from error
