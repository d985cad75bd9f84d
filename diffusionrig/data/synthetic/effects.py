"""What light does between surfaces, in the image plane: occlusion and shine. Cast shadows are in ``render.shadows``."""

from __future__ import annotations

import cv2
import numpy as np

Array = np.ndarray


def ambient_occlusion(height: Array, covered: Array, per_metre: float, working: int) -> Array:
    """How much of the surroundings each pixel sees, (S, S) in 0..1, worked out on a copy of at most ``working`` pixels.

    ``height`` (S, S) towards the viewer in metres, ``covered`` (S, S) bool, ``per_metre`` pixels in a metre. A pixel that
    lies deeper than the mean of its neighbourhood is occluded (Mittring 2007's idea, with box means for samples).
    """
    size = height.shape[0]
    small = min(size, working)
    scale = per_metre * small / size
    weight = cv2.resize(covered.astype(np.float32), (small, small), interpolation=cv2.INTER_AREA)
    low = cv2.resize(np.where(covered, height, 0).astype(np.float32), (small, small), interpolation=cv2.INTER_AREA)
    inside = weight > 0.3
    low = np.where(inside, low / np.maximum(weight, 1e-6), 0.0).astype(np.float32)
    known = inside.astype(np.float32)
    open_sky = np.ones_like(known)
    for radius, strength in ((0.005, 0.50), (0.013, 0.50), (0.030, 0.35)):
        side = 2 * max(1, round(radius * scale)) + 1
        share = cv2.blur(known, (side, side))
        mean = cv2.blur(cv2.blur(low, (side, side)) / np.maximum(share, 1e-6), (side, side))
        depth = np.clip((mean - low) / radius, 0.0, 1.2)
        # At a silhouette half of the neighbourhood is missing, and the mean of the other half says nothing.
        open_sky *= 1 - strength * np.clip(depth - 0.05, 0.0, 1.0) * np.clip(2 * share - 1, 0.0, 1.0)
    return cv2.resize(np.where(inside, open_sky, 1.0).astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)


def shine(normal: Array, direction: Array, exponent: float) -> Array:
    """Blinn-Phong lobe (...) of unit normals (..., 3) for light from ``direction`` and the viewer at +z."""
    half = direction + np.array([0.0, 0.0, 1.0])
    half = (half / np.linalg.norm(half)).astype(np.float32)
    return np.maximum(normal @ half, 0.0) ** exponent
