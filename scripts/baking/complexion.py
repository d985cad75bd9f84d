"""Where the skin differs from itself: cheeks, nose, lids, beard, scalp; and the colours inside the mouth."""

from __future__ import annotations

import numpy as np

from .noise import spots
from .regions import beard, scalp, smooth
from .texels import Texels

BEARD, SCALP, UNDER_EYE = (-0.040, -0.031, -0.022), (-0.040, -0.031, -0.025), (-0.024, -0.026, -0.018)
FLUSH, FRECKLE = (0.012, -0.016, -0.0135), (-0.034, -0.035, -0.031)
"""Change per standard deviation; the mean head has a little of each, so that negative coefficients can take it away."""

_OFFSETS = {"beard": (BEARD, 0.5), "scalp": (SCALP, 0.8), "under_eye": (UNDER_EYE, 0.6),
            "cheeks": (FLUSH, 1.1), "nose_ears": (FLUSH, 1.1), "freckles": (FRECKLE, 0.6),
            "centre": ((0.016, 0.015, 0.013), 0.6), "lids": ((-0.030, -0.034, -0.028), 1.0)}


def blob(position: np.ndarray, centre: tuple[float, float, float], reach: tuple[float, float, float]) -> np.ndarray:
    """A Gaussian in space, on both sides of the face."""
    folded = position * [1, 1, 1]
    folded[..., 0] = np.abs(folded[..., 0])
    return np.exp(-(((folded - centre) / reach) ** 2).sum(-1) / 2)


def marks(under: Texels, joints: np.ndarray, ears: np.ndarray) -> dict[str, np.ndarray]:
    """Masks by name over the atlas, each 0..1 and 0 off the skin. ``joints`` (5, 3) gives the eyes."""
    position, skin = under.position, under.is_part("head")
    eye = joints[3]
    below = np.abs(position[..., 0]) - eye[0]
    arc = -0.0145 - 0.0015 * (1 - (below / 0.016) ** 2)
    under_eye = np.exp(-((position[..., 1] - arc) / 0.0050) ** 2 / 2) * smooth(np.abs(below), 0.022, 0.004)
    lids = blob(position, (eye[0], 0.0085, 0.012), (0.014, 0.0055, 0.02))
    centre = np.maximum(blob(position, (0.0, -0.02, 0.03), (0.022, 0.03, 0.03)),
                        0.8 * blob(position, (0.0, 0.045, 0.02), (0.035, 0.016, 0.05)))
    found = {
        "under_eye": under_eye * (position[..., 2] > -0.02), "lids": lids, "centre": centre,
        "cheeks": blob(position, (0.042, -0.036, 0.0), (0.017, 0.016, 0.03)),
        "nose_ears": np.maximum(blob(position, (0.0, -0.044, 0.045), (0.012, 0.009, 0.02)), 0.8 * ears),
        "beard": beard(position), "scalp": scalp(position) * (1 - ears),
        "freckled": np.maximum(blob(position, (0.036, -0.026, 0.01), (0.022, 0.013, 0.04)),
                               blob(position, (0.0, -0.025, 0.03), (0.012, 0.015, 0.03))),
        "lashes": lash_lines(under),
    }
    likely = np.where(found["freckled"] > 0.1, found["freckled"], 0) + 0.015 * (position[..., 2] > -0.02)
    found["freckles"] = np.kron(spots(position[::2, ::2], (likely * skin)[::2, ::2], 240, (0.0008, 0.0015), "freckles"),
                                np.ones((2, 2)))
    del found["freckled"]
    return {name: mask * skin for name, mask in found.items()}


def lash_lines(under: Texels) -> np.ndarray:
    """Dark upper and faint lower lines where the lashes grow, 0..1."""
    distance, upper = under.lid_distance, under.lid_upper
    return np.where(upper, 0.85 * smooth(distance, 0.0019, 0.0007), 0.35 * smooth(distance, 0.0013, 0.0005))


def offsets(found: dict[str, np.ndarray]) -> np.ndarray:
    """(..., 3) what the marks add to the mean skin."""
    return sum(amount * found[name][..., None] * np.array(colour) for name, (colour, amount) in _OFFSETS.items())


def mouth(mean: np.ndarray, under: Texels) -> np.ndarray:
    """Paint tongue, teeth, gums and the linings of mouth and eye sockets, darker with depth."""
    depth = under.position[..., 2]
    sides = smooth(np.abs(under.position[..., 0]), 0.019, 0.009)
    linings = {
        ("mouth_cavity",): (np.array([0.46, 0.21, 0.20]), np.array([0.10, 0.035, 0.035]), (0.020, -0.020)),
        ("tongue",): (np.array([0.64, 0.33, 0.32]), np.array([0.22, 0.08, 0.08]), (0.010, -0.035)),
        ("teeth_upper", "teeth_lower"): (np.array([0.88, 0.85, 0.78]), np.array([0.24, 0.15, 0.13]), (0.018, -0.006)),
        ("eye_cavity.L", "eye_cavity.R"): (np.array([0.62, 0.40, 0.36]), np.array([0.20, 0.10, 0.09]), (0.011, -0.002)),
    }
    for parts, (front, back, (near, far)) in linings.items():
        light = (smooth(depth, far, near) * (sides if "teeth_upper" in parts else 1))[..., None]
        mean = np.where(under.is_part(*parts)[..., None] > 0, back + light * (front - back), mean)
    return mean
