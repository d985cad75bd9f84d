"""What light does between surfaces, in the image plane: occlusion, cast shadow, shine."""

from __future__ import annotations

import cv2
import numpy as np

Array = np.ndarray

_WORKING_SIZE = 160
_NOTHING = -1.0  # height of the background, metres: far behind everything


def ambient_occlusion(height: Array, covered: Array, per_metre: float) -> Array:
    """How much of the surroundings each pixel sees, (S, S) in 0..1.

    ``height`` (S, S) towards the viewer in metres, ``covered`` (S, S) bool, ``per_metre`` pixels in a metre. A pixel that
    lies deeper than the mean of its neighbourhood is occluded (Mittring 2007's idea, with box means for samples).
    """
    weight = covered.astype(np.float32)
    filled = np.where(covered, height, 0.0).astype(np.float32)
    open_sky = np.ones_like(weight)
    for radius, strength in ((0.005, 0.50), (0.013, 0.50), (0.030, 0.35)):
        side = 2 * max(1, round(radius * per_metre)) + 1
        share = cv2.blur(weight, (side, side))
        mean = cv2.blur(cv2.blur(filled, (side, side)) / np.maximum(share, 1e-6), (side, side))
        depth = np.clip((mean - height) / radius, 0.0, 1.2)
        open_sky *= 1 - strength * np.clip(depth - 0.05, 0.0, 1.0) * np.minimum(share * 1.5, 1.0)
    return np.where(covered, open_sky, 1.0).astype(np.float32)


def cast_shadow(height: Array, covered: Array, per_metre: float, direction: Array) -> Array:
    """Share of the key light that reaches each pixel, (S, S) in 0..1, by marching over ``height`` towards the light.

    ``direction`` (3,) points to the light: x right, y up, z to the viewer.
    """
    size = height.shape[0]
    ground = np.where(covered, height, _NOTHING).astype(np.float32)
    lit = np.ones_like(ground)
    flat = float(np.hypot(direction[0], direction[1]))
    if flat < 0.05:
        return lit
    for step in (0.004, 0.008, 0.013, 0.019, 0.026, 0.034, 0.044, 0.056):
        x, y = (step / flat * per_metre * component for component in (direction[0], -direction[1]))
        shift = np.array([[1, 0, -x], [0, 1, -y]], np.float32)
        there = cv2.warpAffine(ground, shift, (size, size), flags=cv2.INTER_LINEAR, borderValue=_NOTHING)
        excess = there - (ground + step / flat * direction[2])
        blocked = np.clip((excess - 0.0015) / 0.004, 0, 1) * (excess < 0.07)
        lit = np.minimum(lit, 1 - blocked)
    return np.where(covered, lit, 1.0).astype(np.float32)


def occlusion_maps(height: Array, covered: Array, per_metre: float, direction: Array) -> tuple[Array, Array]:
    """Ambient occlusion and cast shadow at the size of ``height``, worked out on a small copy and softened."""
    size = height.shape[0]
    small = min(size, _WORKING_SIZE)
    ratio = small / size
    way = cv2.INTER_AREA
    weight = cv2.resize(covered.astype(np.float32), (small, small), interpolation=way)
    low = cv2.resize(np.where(covered, height, 0).astype(np.float32), (small, small), interpolation=way)
    low = low / np.maximum(weight, 1e-6)
    inside = weight > 0.3
    maps = [ambient_occlusion(low, inside, per_metre * ratio), cast_shadow(low, inside, per_metre * ratio, direction)]
    maps[1] = cv2.GaussianBlur(maps[1], (0, 0), 0.0025 * per_metre * ratio + 0.3)
    if small == size:
        return maps[0], maps[1]
    first, second = (cv2.resize(each, (size, size), interpolation=cv2.INTER_LINEAR) for each in maps)
    return first, second


def shine(normal: Array, direction: Array, exponent: float) -> Array:
    """Blinn-Phong lobe (...) of unit normals (..., 3) for light from ``direction`` and the viewer at +z."""
    half = direction + np.array([0.0, 0.0, 1.0])
    half = (half / np.linalg.norm(half)).astype(np.float32)
    return np.maximum(normal @ half, 0.0) ** exponent
