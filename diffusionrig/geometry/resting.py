"""Heads at rest: what is known of a head model before any face."""

from __future__ import annotations

import torch

from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel


def resting_code(head: HeadModel, count: int = 1) -> FaceCode:
    """``count`` mean heads without expression, upright, in the dark, with cameras of scale 0, on the device of ``head``."""
    widths = {"shape": head.n_shape, "albedo": head.n_albedo, "expression": head.n_expression, "pose": 6, "camera": 3}
    parts = {name: torch.zeros(count, width) for name, width in widths.items()}
    return FaceCode(**parts, light=torch.zeros(count, 9, 3), head=head.name).to(head.faces.device)
