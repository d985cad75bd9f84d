"""Iris, pupil and white of the eyes."""

from __future__ import annotations

import dataclasses

import numpy as np

from .noise import smooth_field
from .regions import IRIS_ANGLE, smooth
from .texels import Texels

PUPIL_ANGLE = 0.145
IRIS, WHITE, PUPIL = np.array([0.340, 0.310, 0.290]), np.array([0.830, 0.800, 0.775]), np.array([0.035, 0.030, 0.030])


@dataclasses.dataclass
class Globe:
    """Masks over the atlas: ``iris`` (its pattern included), ``disc`` (iris and pupil), ``pupil``, ``white``; ``vein`` 0..1."""

    iris: np.ndarray
    disc: np.ndarray
    pupil: np.ndarray
    white: np.ndarray
    vein: np.ndarray


def globe(under: Texels, joints: np.ndarray) -> Globe:
    """Masks from the angle to the axis through pupil and centre of each eyeball."""
    shape = under.part.shape
    angle, turn, eye = np.full(shape, np.pi), np.zeros(shape), np.zeros(shape)
    for side, joint in (("L", 3), ("R", 4)):
        towards = under.position - joints[joint]
        here = under.is_part(f"eye_front.{side}", f"eye_back.{side}") > 0
        reach = np.maximum(np.linalg.norm(towards, axis=-1), 1e-9)
        angle = np.where(here, np.arccos(np.clip(towards[..., 2] / reach, -1, 1)), angle)
        turn = np.where(here, np.arctan2(towards[..., 1], np.abs(towards[..., 0])), turn)
        eye = np.maximum(eye, here)
    disc = eye * smooth(angle, IRIS_ANGLE * 1.04, IRIS_ANGLE * 0.96)
    pupil = eye * smooth(angle, PUPIL_ANGLE * 1.1, PUPIL_ANGLE * 0.9)
    # A dark rim, a lighter ring round the pupil, and faint spokes.
    rim = 1 - 0.55 * smooth(angle, IRIS_ANGLE * 0.74, IRIS_ANGLE * 1.0)
    ring = 1 + 0.18 * np.exp(-((angle - PUPIL_ANGLE * 1.35) / 0.06) ** 2)
    spokes = 1 + 0.10 * np.cos(23 * turn) * np.cos(9 * turn + 1)
    vein = np.clip(smooth_field(under.position, 0.005, "veins"), 0, 2.5) / 2.5 * smooth(angle, 0.55, 1.2)
    return Globe(disc * (1 - pupil) * rim * ring * spokes, disc, pupil, eye * (1 - disc), vein)


def paint(mean: np.ndarray, eye: Globe) -> np.ndarray:
    """Put the eyes of the mean head into ``mean``."""
    white = WHITE - eye.vein[..., None] * np.array([0.02, 0.09, 0.09])
    inside = eye.iris[..., None] * IRIS + eye.pupil[..., None] * PUPIL
    return mean * (1 - np.clip(eye.white + eye.disc, 0, 1))[..., None] + eye.white[..., None] * white + inside
