"""Colour and cover of hair, pixel by pixel: clumps of strands, their highlight, and ends that thin out."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from diffusionrig.data.synthetic.people import Hair

Array = np.ndarray

_TABLE = 512


@lru_cache(maxsize=1)
def _noise_table() -> Array:
    """Uniform random values (512, 512) float32 that repeat at the edges."""
    return np.random.default_rng(12).random((_TABLE, _TABLE), dtype=np.float32)


def _noise(across: Array, along: Array, offset: float) -> Array:
    """Smooth noise in 0..1 over two coordinates, one cell per unit."""
    return cv2.remap(_noise_table(), np.mod(across + offset, _TABLE).astype(np.float32),
                     np.mod(along + 3 * offset, _TABLE).astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def paint_hair(values: Array, normal: Array, shading: Array, covered: Array, hair: Hair, visible: Array,
               over_skin: Array, direction: Array, per_metre: float) -> tuple[Array, Array]:
    """Colour (S, S, 3) and cover (S, S) of a hair layer.

    ``values`` as in ``stage.HAIR_VALUES``; ``normal`` (S, S, 3) turned to the viewer, ``shading`` (S, S, 3), ``covered``
    (S, S) bool where the layer is, ``visible`` (S, S) the share of light that arrives, ``over_skin`` (S, S) bool where
    something solid lies behind, ``direction`` (3,) of the key light, ``per_metre`` pixels in a metre.
    """
    tangent = values[..., :3] / np.maximum(np.linalg.norm(values[..., :3], axis=-1, keepdims=True), 1e-6)
    strand, along, remaining, fray, beard = (values[..., channel] for channel in range(3, 8))
    offset = float(hair.seed % 401)
    beard = beard > 0.5
    # Strands wander sideways along their way; curls more.
    wander = (0.003 + 0.010 * hair.curl) * (_noise(strand / 0.02, along / (0.03 - 0.018 * hair.curl), offset) - 0.5)
    across = strand + wander
    length = np.where(beard, 0.006, 0.030 - 0.022 * hair.curl)
    fine = _noise(across / 0.0011, along / length, offset + 17)
    broad = _noise(across / 0.0045, along / (2 * length), offset + 53)
    tone = 0.55 + 0.45 * fine + 0.5 * (broad - 0.5)
    base = np.asarray(hair.colour, np.float32) * (0.95 + 0.55 * tone[..., None]) * tone[..., None] ** 0.6
    # Kajiya and Kay 1989: a cylinder shines where its tangent is at right angles to the half vector.
    half = direction + np.array([0.0, 0.0, 1.0])
    half = (half / np.linalg.norm(half)).astype(np.float32)
    sine = np.sqrt(np.clip(1 - (tangent @ half) ** 2, 0, 1))
    facing = np.clip(normal @ direction + 0.25, 0, 1)
    gleam = hair.shine * facing * (0.13 * sine ** 18 + 0.20 * sine ** 70) * (0.4 + 0.9 * fine)
    gleam = gleam * np.where(beard, 0.3, 1.0) * (1 - 0.6 * hair.curl)
    sheen = 0.55 * np.asarray(hair.colour, np.float32) ** 0.5 + 0.12
    colour = base * shading * visible[..., None] + (gleam * visible)[..., None] * sheen
    # Ends: every strand stops at its own length.
    pixel = 1.0 / per_metre
    tips = _noise(across / 0.0005, along / length, offset + 91)
    end = remaining - fray * (0.35 * fine + 0.65 * tips) ** 1.3
    cover = np.clip(end / (0.25 * fray + pixel) + 0.15, 0, 1)
    reach = max(1, round(0.004 * per_metre))
    # The outline is not a knife's edge: seen at a grazing angle, single strands leave gaps. Near the hairline there are
    # none, nor thin roots where the background would show between hair and skin.
    graze = np.clip((normal[..., 2] + 0.35 * (broad - 0.4)) / (0.20 + 0.1 * hair.curl), 0, 1)
    outline = np.clip(3 * (1 - cv2.blur(covered.astype(np.float32), (2 * reach + 1,) * 2)), 0, 1)
    graze = 1 - outline * (1 - graze)
    root = (remaining < 0.03) & (fray < 0.008 + 0.008 * hair.curl) & ~beard
    cover = np.where(root, np.where(over_skin, cover, 1.0), cover * graze)
    if hair.kind == "buzz":
        cover = np.where(beard, cover, cover * (0.5 + 0.4 * fine))
    return colour, np.where(beard, cover * (0.55 + 0.45 * fine), cover)
