"""The square of a photograph that SMIRK looks at: around all points of the Face Landmarker, tighter than DECA's rule."""

from __future__ import annotations

import numpy as np

from diffusionrig.capture.deca.crop import Square, cut

MARGIN = 1.4
"""Side of the square in units of the mean side of the points' box."""

_SLACK = 1e-4
"""Of a grey level: what float32 may lose of a value that is whole, so that even areas keep their level when truncated."""


def square_of_points(points: np.ndarray) -> Square:
    """The square around landmarks (478, 2 or 3), pixels with (0, 0) at the centre of the first.

    SMIRK counts MediaPipe's coordinates from the picture's edge and cuts with pixel centres at whole numbers; the half pixel
    between the two is part of what the network was trained on.
    """
    low, high = (np.asarray(end, np.float64)[:2] + 0.5 for end in (points.min(0), points.max(0)))
    (left, top), (right, bottom) = low.tolist(), high.tolist()
    size = (right - left + bottom - top) / 2
    return Square(right - (right - left) / 2, bottom - (bottom - top) / 2, max(1, int(size * MARGIN)))


def cut_truncated(image: np.ndarray, square: Square) -> np.ndarray:
    """(H, W, 3) uint8 -> (3, 224, 224) float32 in [0, 1] in whole grey levels, cut down as published, not rounded."""
    return (np.floor(cut(image, square).astype(np.float64) * 255 + _SLACK) / 255).astype(np.float32)
