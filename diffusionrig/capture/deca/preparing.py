"""From a photograph to what DECA's networks see: find the face, choose the square around it, cut it out."""

from __future__ import annotations

import dataclasses

import numpy as np

from diffusionrig.capture.deca.crop import Square, cut, square_of_landmarks, square_of_picture
from diffusionrig.capture.deca.published_resize import published_resize
from diffusionrig.capture.fit.finding import find_face
from diffusionrig.faces.backends import FaceFinder


@dataclasses.dataclass(frozen=True)
class Prepared:
    """One image, ready for the network.

    crop       (3, 224, 224) float32 RGB in [0, 1]
    transform  (3, 3) float32, takes pixels of the image as it was given to pixels of the crop
    frame      its width and height
    points     (68, 2) float32 landmarks in its pixels, (0, 0) at the centre of the first; None when no face was found
    presence   how sure the detector is that they are a face, 0..1
    """

    crop: np.ndarray
    transform: np.ndarray
    frame: tuple[int, int]
    points: np.ndarray | None
    presence: float


def prepare(image: np.ndarray, finder: FaceFinder, published_side: int = 0, points: np.ndarray | None = None) -> Prepared:
    """Prepare (H, W, 3) uint8 RGB; ``points`` (68, 2) are landmarks in its pixels that are known already.

    With ``published_side`` the image is first resized as DiffusionRig's loader does, and the face sought in that. Where no
    face is found the whole image is cut out, which is what the published code encodes then.
    """
    height, width = image.shape[:2]
    seen = published_resize(image, published_side) if published_side else image
    ratio = np.array([seen.shape[1] / width, seen.shape[0] / height])
    presence = 1.0
    if points is None:
        face = find_face(seen, finder)
        if face is not None:
            points, presence = ((face.points68 + 0.5) / ratio - 0.5).astype(np.float32), face.presence * face.score
        square = square_of_picture(*seen.shape[:2]) if face is None else square_of_landmarks(face.points68)
    else:
        square = square_of_landmarks((np.asarray(points, np.float64) + 0.5) * ratio - 0.5)
    return _prepared(seen, square, ratio, (width, height), points, presence if points is not None else 0.0)


def _prepared(seen: np.ndarray, square: Square, ratio: np.ndarray, frame: tuple[int, int], points: np.ndarray | None,
              presence: float) -> Prepared:
    # As published the camera takes its pixels from the picture's edge, so plain ratios bring them back to the given image.
    transform = square.transform() @ np.diag([*ratio, 1.0])
    return Prepared(cut(seen, square), transform.astype(np.float32), frame, points, presence)
