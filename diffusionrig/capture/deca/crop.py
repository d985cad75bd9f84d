"""The square of a photograph that DECA looks at, and its 224-pixel crop, value for value as published.

Pixel coordinates have (0, 0) at the centre of the top left pixel. Crops are cut with 223 pixels from corner to corner
although the camera counts 224 across: the networks were trained on both.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from diffusionrig.geometry.face_code import CROP_SIZE

MARGIN = 1.25
"""Side of the square in units of the face's box, after the rule of the box."""

LANDMARK_MARGIN = 1.1
"""Landmarks end at brows and chin, a detector's box does not: theirs is widened by this first."""

BOX_DROP = 0.12
"""Of its size: a detector's box is moved down by this."""


@dataclasses.dataclass(frozen=True)
class Square:
    """centre_x, centre_y  in pixels; size  the side, whole pixels, at least 1"""

    centre_x: float
    centre_y: float
    size: int

    @property
    def scale(self) -> float:
        """Crop pixels per picture pixel."""
        return (CROP_SIZE - 1) / self.size

    def transform(self) -> np.ndarray:
        """(3, 3) float64, takes pixels of the picture to pixels of the crop (``FaceCode.crop``)."""
        a, half = self.scale, self.size / 2
        return np.array([[a, 0.0, -(self.centre_x - half) * a], [0.0, a, -(self.centre_y - half) * a], [0.0, 0.0, 1.0]])


def square_of_landmarks(points: np.ndarray) -> Square:
    """The square around landmarks (N, 2), pixels: mean side of their box x 1.1 x 1.25, truncated (rule "kpt68")."""
    low, high = (np.asarray(end, np.float64) for end in (points.min(0), points.max(0)))
    (left, top), (right, bottom) = low.tolist(), high.tolist()
    size = (right - left + bottom - top) / 2 * LANDMARK_MARGIN
    return _square(left, top, right, bottom, size, 0.0)


def square_of_box(box: np.ndarray) -> Square:
    """The square around a detector's box (4,) left, top, right, bottom, pixels (rule "bbox")."""
    left, top, right, bottom = np.asarray(box, np.float64).tolist()
    size = (right - left + bottom - top) / 2
    return _square(left, top, right, bottom, size, BOX_DROP * size)


def square_of_picture(height: int, width: int) -> Square:
    """The square taken where no face was found: the whole picture, as if its corners were landmarks."""
    return square_of_landmarks(np.array([[0.0, 0.0], [width - 1.0, height - 1.0]]))


def _square(left: float, top: float, right: float, bottom: float, size: float, drop: float) -> Square:
    # In the published order of operations, lest the truncation tips over.
    return Square(right - (right - left) / 2, bottom - (bottom - top) / 2 + drop, max(1, int(size * MARGIN)))


def cut(image: np.ndarray, square: Square) -> np.ndarray:
    """(H, W, 3) uint8 -> the square as (3, 224, 224) float32 in [0, 1], bilinear, zeros outside the picture.

    Equal to scikit-image's ``warp`` of order 1: float64 arithmetic, no anti-aliasing, and interpolation towards zero across
    the picture's border.
    """
    height, width = image.shape[:2]
    left, right, weight_x = _taps(square.centre_x, square, width)
    top, bottom, weight_y = _taps(square.centre_y, square, height)
    first, last = int(left.min()), int(right.max()) + 1
    rows = (image[top, first:last] * (weight_y[0] / 255.0)[:, None, None]
            + image[bottom, first:last] * (weight_y[1] / 255.0)[:, None, None])
    crop = rows[:, left - first] * weight_x[0][:, None] + rows[:, right - first] * weight_x[1][:, None]
    if crop.min() > 0 and (weight_x.sum(0).min() < 1 or weight_y.sum(0).min() < 1):
        # warp holds its result within the values of the picture, and knows of the zeros outside only if one came in whole.
        np.maximum(crop, image.min() / 255.0, out=crop)
    return np.ascontiguousarray(crop.transpose(2, 0, 1), dtype=np.float32)


def _taps(centre: float, square: Square, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Along one axis: the two pixels (224,) each that a crop pixel lies between, and their weights (2, 224), zero outside."""
    place = np.arange(CROP_SIZE) / square.scale + centre - square.size / 2
    first = np.floor(place)
    share = place - first
    pair = np.stack([first, first + 1]).astype(np.int64)
    weights = np.stack([1 - share, share]) * ((pair >= 0) & (pair < length))
    before, after = pair.clip(0, length - 1)
    return before, after, weights
