"""Backgrounds: out-of-focus rooms, streets, walls, and plain studio gradients."""

from __future__ import annotations

import cv2
import numpy as np

KINDS = ("studio", "wall", "bokeh", "room", "landscape")
_CANVAS = 64


def _colour(rng: np.random.Generator, saturation: float, low: float = 0.1, high: float = 0.9) -> np.ndarray:
    hue, value = rng.random() * 6, rng.uniform(low, high)
    wheel = np.clip(np.abs((hue + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1, 0, 1)
    return value * (1 - saturation * (1 - wheel))


def smooth_noise(rng: np.random.Generator, cells: int, size: int, channels: int = 1) -> np.ndarray:
    """Random values of about unit standard deviation on a ``cells`` grid, enlarged smoothly: (size, size, channels)."""
    grid = rng.standard_normal((cells + 2, cells + 2, channels)).astype(np.float32)
    wide = cv2.resize(grid, (size + 2 * size // cells,) * 2, interpolation=cv2.INTER_CUBIC)
    edge = (wide.shape[0] - size) // 2
    return wide.reshape(*wide.shape[:2], channels)[edge:edge + size, edge:edge + size] * 1.6


def sample_backdrop(rng: np.random.Generator, size: int) -> np.ndarray:
    """A background (size, size, 3) float32 in 0..1, out of focus, drawn small and enlarged."""
    kind = KINDS[rng.choice(len(KINDS), p=[0.28, 0.17, 0.17, 0.23, 0.15])]
    rows, columns = np.mgrid[0:_CANVAS, 0:_CANVAS].astype(np.float32) / (_CANVAS - 1)
    picture = np.empty((_CANVAS, _CANVAS, 3), np.float32)
    blur = rng.uniform(1.5, 4.0)
    if kind == "studio":
        base = _colour(rng, rng.uniform(0.0, 0.6), 0.12, 0.85)
        centre = rng.uniform(0.2, 0.8, 2)
        distance = np.hypot(rows - centre[0], columns - centre[1])
        picture[:] = base * (1 + rng.uniform(-0.1, 0.35) * (0.6 - distance)[..., None])
    elif kind == "wall":
        slope = rng.normal(0.0, 0.25) * (rows - 0.5) + rng.normal(0.0, 0.35) * (columns - 0.5)
        picture[:] = _colour(rng, rng.uniform(0.0, 0.4), 0.3, 0.9) * (1 + slope)[..., None]
        picture *= 1 + 0.06 * smooth_noise(rng, 6, _CANVAS)
    elif kind == "bokeh":
        picture[:] = _colour(rng, rng.uniform(0.2, 0.7), 0.08, 0.4) * (1.2 - 0.5 * rows)[..., None]
        for _ in range(rng.integers(8, 26)):
            spot = np.hypot(rows - rng.random(), columns - rng.random()) < rng.uniform(0.02, 0.09)
            picture[spot] += 0.6 * _colour(rng, rng.uniform(0.1, 0.8), 0.4, 1.0)
        blur = rng.uniform(0.8, 1.6)
    elif kind == "room":
        picture[:] = _colour(rng, rng.uniform(0.05, 0.4), 0.25, 0.85)
        for _ in range(rng.integers(3, 9)):
            left, top = rng.uniform(-0.2, 0.9, 2)
            inside = (columns > left) & (columns < left + rng.uniform(0.1, 0.6)) & (rows > top) & (
                rows < top + rng.uniform(0.15, 1.0))
            picture[inside] = _colour(rng, rng.uniform(0.0, 0.6), 0.08, 0.95)
        picture *= 1 + rng.normal(0.0, 0.2) * (columns - 0.5)[..., None]
    else:
        horizon = rng.uniform(0.2, 0.75)
        sky, ground = _colour(rng, 0.25, 0.6, 0.95) * np.array([0.9, 0.97, 1.08]), _colour(rng, 0.45, 0.15, 0.5)
        edge = horizon + 0.05 * smooth_noise(rng, 5, _CANVAS)[:1, :, 0]
        picture[:] = np.where((rows < edge)[..., None], sky, ground * np.array([0.95, 1.1, 0.8]))
        picture *= 1 + 0.15 * smooth_noise(rng, 10, _CANVAS)
        blur = rng.uniform(1.0, 2.5)
    soft = cv2.GaussianBlur(np.clip(picture, 0.01, 1.1), (0, 0), blur)
    return np.clip(cv2.resize(soft, (size, size), interpolation=cv2.INTER_CUBIC), 0.0, 1.0)
