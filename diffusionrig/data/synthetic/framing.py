"""Placing a head as FFHQ alignment would: its own 68 landmarks decide where the image square lies."""

from __future__ import annotations

import torch
from torch import Tensor

from diffusionrig.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle


def ffhq_square(points: Tensor) -> tuple[Tensor, Tensor]:
    """Image points (B, 68, 2 or more), y down -> centre (B, 2) and half of the upper edge as a vector (B, 2).

    FFHQ's rule (Karras et al. 2019): the square has its centre a tenth of the way from the eyes to the mouth and half a
    side of twice the eye distance or 1.8 times the way from eyes to mouth, whichever is longer.
    """
    left, right = points[:, 36:42, :2].mean(1), points[:, 42:48, :2].mean(1)
    eyes, across = (left + right) / 2, right - left
    down = (points[:, 48, :2] + points[:, 54, :2]) / 2 - eyes
    edge = across - down.flip(-1) * down.new_tensor([-1.0, 1.0])
    half = torch.maximum(2.0 * across.norm(dim=-1), 1.8 * down.norm(dim=-1))
    return eyes + 0.1 * down, edge / edge.norm(dim=-1, keepdim=True) * half[:, None]


def _flat(landmarks: Tensor) -> Tensor:
    return landmarks[..., :2] * landmarks.new_tensor([1.0, -1.0])


def upright_rotation(rotation: Tensor, landmarks: Tensor, roll: Tensor) -> Tensor:
    """Head rotations (B, 3) turned in the image plane until the FFHQ square of ``landmarks`` (B, 68, 3) leans by ``roll``.

    ``landmarks`` are those under ``rotation``; ``roll`` (B,) in radians tips the head as in
    ``euler_degrees_to_axis_angle``.
    """
    _, edge = ffhq_square(_flat(landmarks))
    lean = torch.atan2(edge[:, 1], edge[:, 0])  # clockwise as seen
    turn = torch.zeros_like(rotation)
    turn[:, 2] = lean + roll
    return matrix_to_axis_angle(axis_angle_to_matrix(turn) @ axis_angle_to_matrix(rotation))


def framing_camera(landmarks: Tensor, zoom: Tensor, shift: Tensor) -> Tensor:
    """Camera (B, 3) under which the FFHQ square of ``landmarks`` (B, 68, 3), metres, is the image.

    ``zoom`` (B,) above 1 enlarges the head; ``shift`` (B, 2) moves it right and down in halves of the image side.
    """
    centre, edge = ffhq_square(_flat(landmarks))
    scale = zoom / edge.norm(dim=-1)
    x = shift[:, 0] / scale - centre[:, 0]
    y = centre[:, 1] - shift[:, 1] / scale
    return torch.stack([scale, x, y], -1)
