"""Scaled orthographic projection of the landmark model, and its exact derivatives."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from diffusionrig.capture.fit.landmark_model import LandmarkModel
from diffusionrig.geometry.rotations import axis_angle_to_matrix, skew

N_RIGID = 6
"""Parameters before the coefficients: rotation increment (3), logarithm of the scale (1), shift (2)."""


@dataclasses.dataclass
class Pose:
    """Where B heads are: image point = scale * (rotation @ (point - centre))[:2] + shift, x right, y UP.

    rotation (B, 3, 3); scale (B,); shift (B, 2); coefficients (B, C) of the landmark model.
    """

    rotation: Tensor
    scale: Tensor
    shift: Tensor
    coefficients: Tensor

    def where(self, better: Tensor, other: Pose) -> Pose:
        """``other`` for the faces in ``better`` (B,) bool, this one for the rest."""
        return Pose(*(torch.where(better.reshape(-1, *[1] * (mine.dim() - 1)), theirs, mine)
                      for mine, theirs in zip(self.fields(), other.fields())))

    def fields(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.rotation, self.scale, self.shift, self.coefficients


def project_landmarks(model: LandmarkModel, pose: Pose) -> Tensor:
    """(B, N, 3): image x, y (up) and depth towards the viewer in the same unit, the mean depth of the landmarks being 0."""
    turned = (model.points(pose.coefficients) - model.centre) @ pose.rotation.transpose(1, 2)
    return _placed(pose.scale[:, None, None] * turned, pose)


def _placed(plane: Tensor, pose: Pose) -> Tensor:
    depth = plane[..., 2:]
    return torch.cat([plane[..., :2] + pose.shift[:, None], depth - depth.mean(1, keepdim=True)], -1)


def projection_jacobian(model: LandmarkModel, pose: Pose) -> tuple[Tensor, Tensor]:
    """Projected points (B, N, 3) and their derivatives (B, N_RIGID + C, N, 3).

    Order of parameters: rotation increment w with rotation <- exp([w]x) rotation, log scale, shift x, shift y,
    coefficients. d(exp([w]x) p)/dw at 0 is -[p]x.
    """
    turned = (model.points(pose.coefficients) - model.centre) @ pose.rotation.transpose(1, 2)
    scale = pose.scale[:, None, None]
    plane = scale * turned
    batch, count = turned.shape[:2]
    rotation = -scale[..., None] * skew(turned)
    shift = torch.eye(3, dtype=plane.dtype, device=plane.device)[:2, None].expand(batch, 2, count, 3)
    linear = torch.einsum("cnk,bjk->bcnj", model.basis, scale * pose.rotation)
    jacobian = torch.cat([rotation.permute(0, 3, 1, 2), plane[:, None], shift, linear], 1)
    jacobian[..., 2] -= jacobian[..., 2].mean(-1, keepdim=True)
    return _placed(plane, pose), jacobian


def step_pose(pose: Pose, step: Tensor, lower: Tensor, upper: Tensor) -> Pose:
    """Move along ``step`` (B, N_RIGID + C), coefficients kept within their bounds."""
    return Pose(axis_angle_to_matrix(step[:, :3]) @ pose.rotation, pose.scale * step[:, 3].clamp(-1, 1).exp(),
                pose.shift + step[:, 4:6], torch.clamp(pose.coefficients + step[:, 6:], lower, upper))
