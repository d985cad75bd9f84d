"""The albedo model: a mean texture and linear components, each a mask times a colour direction."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from . import regions, source
from .texels import Texels, reduce


def paint(data: Path, under: Texels) -> dict[str, np.ndarray]:
    """albedo_mean uint8 (S, S, 3), albedo_names, and the terms owner (M,), masks int8 (M, S, S), directions (M, 3)."""
    shape = under.part.shape
    position = under.position.reshape(-1, 3)
    skin = under.is_part("head")
    eyes = under.is_part(*regions.EYE_PARTS)
    mouth = under.is_part("mouth_cavity", "eye_cavity.L", "eye_cavity.R", "tongue")
    teeth = under.is_part("teeth_upper", "teeth_lower")
    lips = source.sample(source.mask(data, "lips"), under.old_uv) * skin
    brow = regions.brows(position).reshape(shape) * skin
    mean = (skin[..., None] * [0.59, 0.4625, 0.395] + eyes[..., None] * [0.85, 0.83, 0.81]
            + mouth[..., None] * [0.35, 0.13, 0.12] + teeth[..., None] * [0.85, 0.82, 0.74])
    mean = mean + lips[..., None] * [0.02, -0.13, -0.10] + brow[..., None] * 0.75 * (np.array([0.16, 0.11, 0.09]) - mean)
    for centre in ([0.0311174, 0, 0], [-0.0311174, 0, 0]):
        towards = under.position - centre
        angle = np.arccos(np.clip(towards[..., 2] / np.maximum(np.linalg.norm(towards, axis=-1), 1e-9), -1, 1))
        iris = under.is_part("eye_front.L" if centre[0] > 0 else "eye_front.R") * regions.smooth(angle, 0.46, 0.42)
        mean = mean + iris[..., None] * (np.array([0.33, 0.22, 0.14]) - mean)
        pupil = iris * regions.smooth(angle, 0.20, 0.16)
        mean = mean + pupil[..., None] * (np.array([0.03, 0.03, 0.03]) - mean)
    masks = np.rint(reduce(skin) * 127).astype(np.int8)[None]
    return {"albedo_mean": np.rint(np.clip(reduce(mean), 0, 1) * 255).astype(np.uint8),
            "albedo_names": np.array(["melanin"]), "albedo_owner": np.zeros(1, np.uint8), "albedo_masks": masks,
            "albedo_directions": np.array([[-0.136, -0.123, -0.114]], np.float32)}
