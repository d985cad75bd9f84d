"""What is known of one face in a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Face:
    """One face. Pixel coordinates have (0, 0) at the centre of the top left pixel, x right, y down.

    box            (4,) float32: x0, y0, x1, y1 around the landmarks
    score          how sure the detector is, 0..1
    points68       (68, 2) float32: the iBUG-68 points
    points         (478, 3) float32: Face Landmarker points, z in pixels (smaller = nearer, about 0 at the head's
                   centre); None from a backend that knows 68 points only
    coefficients   (52,) float32 in 0..1, in the order of geometry.arkit.ARKIT_NAMES, tongueOut always 0; None likewise
    presence       probability that the landmarked region holds a face, 0..1
    """

    box: np.ndarray
    score: float
    points68: np.ndarray
    points: np.ndarray | None = None
    coefficients: np.ndarray | None = None
    presence: float = 1.0

    @property
    def size(self) -> float:
        """The longer side of the box, pixels."""
        return float(max(self.box[2] - self.box[0], self.box[3] - self.box[1]))
