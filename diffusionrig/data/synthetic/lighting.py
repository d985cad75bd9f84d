"""Random light as second-order spherical harmonics, in the constants of the renderer.

A directional light of intensity c from direction d gives the irradiance c max(0, n.d). Its expansion up to the second
order is c (1/4 + 1/2 n.d + 5/16 P2(n.d)) (Ramamoorthi and Hanrahan 2001, "An Efficient Representation for Irradiance
Environment Maps", equation 8, divided by pi); P2 splits over the five second-order bands by the addition theorem.
"""

from __future__ import annotations

import numpy as np

from diffusionrig.render.shading import BAND_CONSTANTS as SHADING_CONSTANTS

BAND_CONSTANTS = np.array(SHADING_CONSTANTS)


def basis(normals: np.ndarray) -> np.ndarray:
    """Band values (N, 9) of unit normals (N, 3), constants included."""
    x, y, z = normals.T
    bands = [np.ones_like(x), x, y, z, x * y, x * z, y * z, x * x - y * y, 3 * z * z - 1]
    return np.stack(bands, 1) * BAND_CONSTANTS


def directional(direction: np.ndarray, softness: float) -> np.ndarray:
    """Coefficients (9,) of a white light of intensity 1 from ``direction`` (3,).

    ``softness`` in 0..1 widens the source from a point to a hemisphere: the first band shrinks by (1 + cos a) / 2 and
    the second by cos a (1 + cos a) / 2, a being the half angle of the source.
    """
    x, y, z = direction / np.linalg.norm(direction)
    cosine = np.cos(softness * np.pi / 2)
    first, second = 0.5 * (1 + cosine) / 2, 5 / 16 * cosine * (1 + cosine) / 2
    values = [0.25, first * x, first * y, first * z, second * 3 * x * y, second * 3 * x * z, second * 3 * y * z,
              second * 0.75 * (x * x - y * y), second * 0.25 * (3 * z * z - 1)]
    return np.array(values) / BAND_CONSTANTS


def _tint(rng: np.random.Generator, spread: float) -> np.ndarray:
    """A colour (3,) of unit mean between warm and cool, with a trace of green or magenta."""
    warm, green = rng.normal(0.0, spread), rng.normal(0.0, spread / 4)
    colour = np.array([1 + warm, 1 + green, 1 - warm])
    return np.clip(colour, 0.5, 1.5) / np.clip(colour, 0.5, 1.5).mean()


def _front_normals() -> np.ndarray:
    """Directions (N, 3) a face shows to the camera: within about 65 degrees of the viewing axis."""
    x, y = np.meshgrid(np.linspace(-0.9, 0.9, 13), np.linspace(-0.9, 0.9, 13))
    inside = x * x + y * y < 0.81
    x, y = x[inside], y[inside]
    return np.stack([x, y, np.sqrt(1 - x * x - y * y)], 1)


_FRONT = _front_normals()


def sample_light(rng: np.random.Generator, tone: float = 0.55) -> np.ndarray:
    """Light coefficients (9, 3) float32: ambient, sky and ground, and one to three soft directional lights.

    ``tone`` is the mean albedo of the skin: photographers expose a dark face longer, but not fully so. Exposure is chosen
    so that, for a mean tone, the shading of the visible part of a face has a mean of 0.92 to 1.20, stays mostly below
    1.45, and in its darkest hundredth is no darker than a fifth of the mean.
    """
    ambient = np.zeros(9)
    ambient[0] = rng.uniform(0.25, 0.8) / BAND_CONSTANTS[0]
    ambient[2] = rng.uniform(-0.05, 0.25) / BAND_CONSTANTS[2]
    light = ambient[:, None] * _tint(rng, 0.05)
    strengths = rng.uniform(0.25, 1.0, size=rng.choice([1, 2, 3], p=[0.4, 0.4, 0.2]))
    for order, strength in enumerate(strengths):
        azimuth = np.deg2rad(rng.normal(0.0, 55.0) if order == 0 else rng.uniform(-110.0, 110.0))
        elevation = np.deg2rad(np.clip(rng.normal(28.0, 22.0), -25.0, 75.0))
        direction = np.array([np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)])
        scale = strength if order == 0 else 0.6 * strength
        light += scale * directional(direction, rng.uniform(0.05, 0.6))[:, None] * _tint(rng, 0.09)
    return _expose(light, rng.uniform(0.92, 1.20) * float(np.clip((0.55 / tone) ** 0.4, 0.85, 1.35))).astype(np.float32)


def _expose(light: np.ndarray, mean: float) -> np.ndarray:
    shading = basis(_FRONT) @ light
    light = light * (mean / shading.mean())
    grey = (basis(_FRONT) @ light).mean(1)
    darkest, brightest = np.quantile(grey, [0.01, 0.98])
    low, high = 0.22 * mean, max(1.45, 1.3 * mean)
    if darkest < low or brightest > high:
        # Fill light: pull the shading towards its mean until both ends fit.
        keep = min((mean - low) / max(mean - darkest, 1e-6), (high - mean) / max(brightest - mean, 1e-6), 1.0)
        flat = np.zeros_like(light)
        flat[0] = mean / BAND_CONSTANTS[0]
        light = keep * light + (1 - keep) * flat
    return light
