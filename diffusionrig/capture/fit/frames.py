"""The frames a face is measured in: pixels, a levelled unit frame for the solver, and the crop of the face code."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from diffusionrig.capture.fit.projection import Pose
from diffusionrig.geometry.face_code import CROP_SIZE
from diffusionrig.geometry.rotations import axis_angle_to_matrix

RIGHT_EYE, LEFT_EYE = 33, 263
CROP_MARGIN = 1.1 * 1.25
"""Side of the crop in units of the mean side of the 68 points' box, as in DECA."""


@dataclasses.dataclass(frozen=True)
class Levelled:
    """Where the levelled frame of B faces lies in their images: ``pixel = origin + unit * turn(angle) (x, -y)``.

    origin (B, 2) mean of the points; unit (B,) their root mean square radius; angle (B,) of the eye line, radians,
    positive where the image must be turned counter-clockwise to level it. Pixels count from the image's edge.
    """

    origin: Tensor
    unit: Tensor
    angle: Tensor


def level(points: Tensor) -> tuple[Tensor, Levelled]:
    """(B, 478, 3) pixels, y down, smaller z nearer -> the same in the levelled frame (B, 478, 3), y up, z to the viewer."""
    origin = points[..., :2].mean(1)
    centred = points[..., :2] - origin[:, None]
    unit = centred.square().sum(-1).mean(1).sqrt()
    across = points[:, LEFT_EYE, :2] - points[:, RIGHT_EYE, :2]
    angle = torch.atan2(across[:, 1], across[:, 0])
    cosine, sine = (angle.cos() / unit)[:, None], (angle.sin() / unit)[:, None]
    x, y = centred.unbind(-1)
    depth = points[..., 2] - points[..., 2].mean(1, keepdim=True)
    return torch.stack([cosine * x + sine * y, sine * x - cosine * y, -depth / unit[:, None]], -1), Levelled(origin, unit, angle)


def crop_transform(points68: Tensor) -> Tensor:
    """Pixels (B, 68, 2) -> (B, 3, 3) taking pixels of the image to pixels of the 224-pixel crop."""
    low, high = points68.min(1).values, points68.max(1).values
    scale = CROP_SIZE / (CROP_MARGIN * (high - low).mean(1))
    corner = (low + high) / 2 - (CROP_SIZE / 2) / scale[:, None]
    crop = points68.new_zeros(len(points68), 3, 3)
    crop[:, 0, 0] = crop[:, 1, 1] = scale
    crop[:, :2, 2] = -scale[:, None] * corner
    crop[:, 2, 2] = 1
    return crop


def crop_turn(levelled: Levelled, crop: Tensor) -> tuple[Tensor, Tensor]:
    """Rotation (B, 3, 3) and factor (B,) from the levelled frame to the crop plane, both with y up."""
    # Image angles run clockwise (y down); with y up the head turns the other way about the viewing axis.
    turn = axis_angle_to_matrix(torch.stack([torch.zeros_like(levelled.angle)] * 2 + [-levelled.angle], -1))
    return turn, levelled.unit * crop[:, 0, 0] / (CROP_SIZE / 2)


def pose_in_crop(pose: Pose, levelled: Levelled, crop: Tensor) -> Pose:
    """A pose of the levelled frame as a pose of the crop plane, [-1, 1] across the crop, y still up."""
    turn, factor = crop_turn(levelled, crop)
    spot = (crop[:, :2, :2] @ levelled.origin[..., None])[..., 0] + crop[:, :2, 2]
    spot = (spot / (CROP_SIZE / 2) - 1) * spot.new_tensor([1.0, -1.0])
    shift = factor[:, None] * (turn[:, :2, :2] @ pose.shift[..., None])[..., 0] + spot
    return Pose(turn @ pose.rotation, pose.scale * factor, shift, pose.coefficients)


def points_in_crop(points: Tensor, crop: Tensor) -> Tensor:
    """Pixels (B, N, 2 or more) -> crop plane (B, N, 2), [-1, 1] across the crop, y up."""
    spot = points[..., :2] @ crop[:, :2, :2].transpose(1, 2) + crop[:, None, :2, 2]
    return (spot / (CROP_SIZE / 2) - 1) * spot.new_tensor([1.0, -1.0])
