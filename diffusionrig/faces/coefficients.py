"""52 ARKit expression coefficients from Face Landmarker points (MediaPipe's blendshape network)."""

from __future__ import annotations

import numpy as np

from diffusionrig.faces.landmark_indices import COEFFICIENT_POINTS
from diffusionrig.faces.networks import Network


def coefficients(network: Network, points: np.ndarray) -> np.ndarray:
    """(478, 2|3) points in pixels to (52,) float32 in 0..1, in the order of geometry.arkit.ARKIT_NAMES.

    The network gives ``_neutral`` and 51 names in alphabetical order; it knows no tongue, so tongueOut is 0. It
    normalises its points itself: shifting, scaling or turning them changes nothing.
    """
    values = network(np.ascontiguousarray(points[COEFFICIENT_POINTS, :2], dtype=np.float32)[None])[0]
    return np.append(np.clip(values.reshape(-1)[1:], 0.0, 1.0), np.float32(0.0)).astype(np.float32)
