"""52 ARKit expression coefficients from Face Landmarker points (MediaPipe's blendshape network)."""

from __future__ import annotations

import numpy as np

from diffusionrig.faces.landmark_indices import COEFFICIENT_POINTS, LEFT_EYE_CORNER, RIGHT_EYE_CORNER
from diffusionrig.faces.networks import Network


def coefficients(network: Network, points: np.ndarray) -> np.ndarray:
    """(478, 2|3) points in pixels to (52,) float32 in 0..1, in the order of geometry.arkit.ARKIT_NAMES.

    The network gives ``_neutral`` and 51 names in alphabetical order; it knows no tongue, so tongueOut is 0. It
    normalises place and size of its points itself, but not their turn: they are levelled first, so that a tilted head
    keeps its expression (MediaPipe does not do this; up to 20 degrees the difference is under 0.005 on average).
    """
    across = points[LEFT_EYE_CORNER, :2] - points[RIGHT_EYE_CORNER, :2]
    cos, sin = across / max(float(np.hypot(*across)), 1e-9)
    level = points[COEFFICIENT_POINTS, :2] @ np.array([[cos, -sin], [sin, cos]])
    values = network(np.ascontiguousarray(level, dtype=np.float32)[None])[0]
    return np.append(np.clip(values.reshape(-1)[1:], 0.0, 1.0), np.float32(0.0)).astype(np.float32)
