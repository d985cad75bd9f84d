"""Vertex masks of the regions of the head, 0..1."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from . import source
from .geometry import Geometry
from .landmarks import BROW_RISE, BROW_X

EYE_PARTS = ("eye_front.L", "eye_back.L", "eye_front.R", "eye_back.R")
MOUTH_PARTS = ("mouth_cavity", "tongue", "teeth_upper", "teeth_lower")
IRIS_ANGLE = 0.375
"""Half angle of the iris seen from the centre of the eyeball, radians: 12.4 mm across on MakeHuman's globe of 33 mm."""


def smooth(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """Smooth step from 0 at ``low`` to 1 at ``high`` (which may be the smaller)."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def scalp(position: np.ndarray) -> np.ndarray:
    """Where hair grows: above a hairline that falls from forehead to temple, runs over the ear and down to the nape."""
    height = np.interp(position[..., 2], [-0.175, -0.140, -0.112, -0.100, -0.080, -0.062, -0.048, -0.030, -0.005, 0.02],
                       [-0.070, -0.070, -0.060, -0.005, 0.004, 0.010, 0.030, 0.047, 0.058, 0.064])
    return smooth(position[..., 1] - height, -0.009, 0.009)


def brows(position: np.ndarray, thickness: float = 1.0) -> np.ndarray:
    """The eyebrows: a band round the brow points, full near the nose, thin at the tail."""
    across = np.abs(position[..., 0])
    middle = np.interp(across, BROW_X, BROW_RISE)
    half = np.interp(across, [BROW_X[0] - 0.003, BROW_X[0], BROW_X[2], BROW_X[4], BROW_X[4] + 0.003],
                     [0.002, 0.0038, 0.0036, 0.0014, 0.0006]) * thickness
    ends = smooth(across, BROW_X[0] - 0.005, BROW_X[0] + 0.001) * smooth(across, BROW_X[4] + 0.004, BROW_X[4] - 0.002)
    return ends * smooth(np.abs(position[..., 1] - middle), half * 1.5, half * 0.6) * (position[..., 2] > -0.03)


def beard(position: np.ndarray) -> np.ndarray:
    """Where a beard grows: jaw, chin, moustache; without the lips."""
    across, height, depth = np.abs(position[..., 0]), position[..., 1], position[..., 2]
    # The upper edge rises from the corner of the mouth to the ear; the moustache lies between nose and lip.
    edge = np.interp(across, [0.0, 0.028, 0.045, 0.062, 0.075], [-0.078, -0.072, -0.060, -0.030, 0.000])
    jaw = smooth(height - edge, 0.010, -0.016) * smooth(depth, -0.085, -0.055) * smooth(height, -0.135, -0.118)
    moustache = smooth(height, -0.050, -0.059) * smooth(height, -0.086, -0.070) * smooth(across, 0.038, 0.018)
    return np.maximum(jaw, moustache * (depth > 0))


def vertex_masks(data: Path, head: Geometry) -> dict[str, np.ndarray]:
    """Every region by name, (V,) float64."""
    crop, position = head.crop, head.template
    uv = np.zeros((len(crop.base), 2))
    uv[crop.quads] = crop.uv[crop.uv_quads]
    skin = crop.vertices_of("head").astype(float)

    def from_mask(name: str) -> np.ndarray:
        return source.sample(source.mask(data, name), uv) * skin

    def on_skin(rule: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        return rule(position) * skin

    lips, ears = from_mask("lips"), from_mask("ears")
    eyes = {side: head.joints_template[joint] for side, joint in (("L", 3), ("R", 4))}
    iris = np.zeros(len(position))
    for side, centre in eyes.items():
        towards = position - centre
        angle = np.arccos(np.clip(towards[:, 2] / np.maximum(np.linalg.norm(towards, axis=1), 1e-9), -1, 1))
        iris = np.maximum(iris, crop.vertices_of(f"eye_front.{side}") * smooth(angle, IRIS_ANGLE * 1.1, IRIS_ANGLE * 0.9))
    globes = crop.vertices_of(*EYE_PARTS).astype(float)
    return {
        "face": from_mask("face"), "lips": lips, "eyelids": from_mask("eyelids"), "ears": ears,
        "inner_mouth": crop.vertices_of(*MOUTH_PARTS) * (1 - skin), "eyes": globes, "iris": iris,
        "sclera": globes * (1 - iris), "scalp": on_skin(scalp) * (1 - ears), "brows": on_skin(brows),
        "beard": on_skin(beard) * (1 - lips), "neck": on_skin(lambda p: smooth(
            p[:, 1] - np.interp(p[:, 2], [-0.12, -0.07, -0.02, 0.02], [-0.05, -0.085, -0.112, -0.122]), 0.004, -0.004)),
        "skin": skin, "teeth": crop.vertices_of("teeth_upper", "teeth_lower").astype(float),
        "tongue": crop.vertices_of("tongue").astype(float),
    }
