"""Fixed random patterns on the skin: smooth fields and freckles."""

from __future__ import annotations

import numpy as np

from diffusionrig.randomness import numpy_stream


def smooth_field(position: np.ndarray, wavelength: float, name: str) -> np.ndarray:
    """A smooth field over positions (..., 3) in metres, about unit variance, clipped to -2.5..2.5."""
    rng = numpy_stream("open head", name)
    direction = rng.standard_normal((48, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    waves = direction * (2 * np.pi / (wavelength * rng.uniform(0.7, 1.6, 48)))[:, None]
    phase = rng.uniform(0, 2 * np.pi, 48)
    field = np.zeros(position.shape[:-1])
    for wave, shift in zip(waves, phase):
        field += np.cos(position @ wave + shift)
    return np.clip(field * np.sqrt(2 / 48), -2.5, 2.5)


def spots(position: np.ndarray, likely: np.ndarray, count: int, radius: tuple[float, float], name: str) -> np.ndarray:
    """Soft round spots at random places, ``likely`` (...) giving the density; 0..1."""
    rng = numpy_stream("open head", name)
    flat, chance = position.reshape(-1, 3), likely.ravel()
    centres = flat[rng.choice(len(flat), count, p=chance / chance.sum())]
    field = np.zeros(len(flat))
    near = np.flatnonzero(chance > 0)
    for centre, size, strength in zip(centres, rng.uniform(*radius, count), rng.uniform(0.4, 1, count)):
        distance = ((flat[near] - centre) ** 2).sum(1)
        field[near] = np.maximum(field[near], strength * np.exp(-distance / (2 * size ** 2)))
    return field.reshape(likely.shape)
