"""Small repairs to the mouth of the MakeHuman head, before anything is fitted to it."""

from __future__ import annotations

import numpy as np

from .crop import Crop
from .surface import border_loop, half_loop

TEETH_NARROWER, TEETH_BACK = 0.80, 0.003
CLOSED_GAP, REACH, HALF_MOUTH, CORNER, MIDDLE = 0.0005, 0.007, 0.0255, 0.017, 0.012
"""Metres. The loop where lips meet the mouth's lining lies a little inside; at this gap the lips touch."""


def set_teeth_back(vertices: np.ndarray, crop: Crop) -> np.ndarray:
    """Teeth helpers are as wide as the mouth and would show at its corners: make the arch narrower, set it back."""
    moved = vertices.copy()
    teeth = crop.vertices_of("teeth_upper", "teeth_lower")
    moved[teeth] = moved[teeth] * [TEETH_NARROWER, 1, 1] - [0, 0, TEETH_BACK]
    return moved


def lip_closing(base: np.ndarray, rows: np.ndarray, weights: np.ndarray, crop: Crop) -> tuple[np.ndarray, np.ndarray]:
    """One more target (N, 3), and how much of it (B,) each of the people ``base + weights @ rows`` needs.

    It brings the lips together where random shapes have left them apart: each lip moves half of the way, less with the
    distance from the mouth's opening and towards its corners.
    """
    loop = border_loop(crop, "head", "mouth_cavity")
    line = half_loop(loop, True, base), half_loop(loop, False, base)
    middle = np.mean([np.interp(base[:, 0], half[:, 0], half[:, 1]) for half in line], 0)
    near = np.sqrt(((base[:, None] - np.concatenate(line)) ** 2).sum(2).min(1))
    fade = np.exp(-(near / REACH) ** 2) * np.interp(np.abs(base[:, 0]), [CORNER, HALF_MOUTH], [1, 0])
    fade[:len(crop.base)] *= crop.vertices_of("head", "mouth_cavity")
    fade[len(crop.base):] = 0
    side = np.where(base[:, 1] > middle, 1.0, -1.0)
    central = loop[np.abs(base[loop, 0]) < MIDDLE]
    upper, lower = central[side[central] > 0], central[side[central] < 0]

    def opening(height: np.ndarray) -> np.ndarray:
        return height[..., upper].mean(-1) - height[..., lower].mean(-1)

    gap = opening(base[:, 1]) + weights @ opening(rows[..., 1])
    target = np.zeros_like(base)
    target[:, 1] = -side * fade / 2
    return target, np.maximum(gap - CLOSED_GAP, 0)
