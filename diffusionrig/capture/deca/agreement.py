"""How far an encoder's answer can be trusted: whether its head, drawn, falls on the landmarks of the photograph."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from diffusionrig.geometry.camera import image_points
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel

ERROR_HALF = 0.25
"""Landmark error, in units of the eye distance, at which half of the trust is gone. Much wider than what detectors and DECA
disagree by on ordinary photographs (0.03 to 0.08), so that only answers beside the face lose trust."""

INNER = 17
"""The first of the 68 landmarks that is not on the jaw line, whose meaning differs among detectors."""


def landmark_error(head: HeadModel, code: FaceCode, points: Sequence[np.ndarray | None]) -> Tensor:
    """(B,) mean distance, over the eye distance, between the inner landmarks of ``code`` and those found in the picture.

    ``points`` are (68, 2) in pixels of the frame of ``code``, (0, 0) at the centre of the first pixel; None (no face) gives
    zero.
    """
    drawn = image_points(head.landmarks(head.vertices(code), code), code)[..., :2]
    drawn = (drawn * 0.5 + 0.5) * code.frame[:, None]
    seen = drawn.new_tensor(np.stack([np.zeros((68, 2), np.float32) if spots is None else spots for spots in points])) + 0.5
    eyes = (seen[:, 36:42].mean(1) - seen[:, 42:48].mean(1)).norm(dim=-1)
    error = (drawn - seen)[:, INNER:].norm(dim=-1).mean(1) / eyes.clamp_min(1e-6)
    return torch.where(drawn.new_tensor([spots is not None for spots in points]) > 0, error, torch.zeros_like(error))


def trust(presence: Tensor, error: Tensor) -> Tensor:
    """(B,), (B,) -> (B,) in 0..1: the detector's sureness times a soft threshold on the landmark error."""
    return presence / (1 + (error / ERROR_HALF) ** 4)
