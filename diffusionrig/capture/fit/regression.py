"""A first answer from the landmarks alone: ridge regression to rotation, identity, expression and gaze, with its covariance.

The geometric fit explains every landmark but cannot know how the landmarker errs; a regression learned on renders with
known codes does, and what it leaves open is estimated with it. It enters the fit as the Gaussian prior.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from diffusionrig.capture.fit.landmark_model import LandmarkModel
from diffusionrig.capture.fit.rigid import solid_pose
from diffusionrig.capture.fit.solver import Prior
from diffusionrig.geometry.rotations import axis_angle_to_matrix, matrix_to_euler_degrees


@dataclasses.dataclass(frozen=True)
class Regression:
    """F features -> 3 + C numbers: a turn (3, axis-angle, head frame) after the rigid pose, then the coefficients.

    point_mean (1434,), point_basis (1434, K)   principal components of rigidly aligned landmarks, whitened
    feature_mean, feature_scale (F,)            standardisation
    weights (F, 3 + C), bias (3 + C,)
    precision (3 + C, 3 + C)                    inverse covariance of the error on faces not learned from
    """

    point_mean: Tensor
    point_basis: Tensor
    feature_mean: Tensor
    feature_scale: Tensor
    weights: Tensor
    bias: Tensor
    precision: Tensor


def aligned_landmarks(model: LandmarkModel, target: Tensor) -> tuple[Tensor, Tensor]:
    """Levelled landmarks (B, N, 3) -> the same laid rigidly over the neutral head (B, N, 3), metres, and the rotation used."""
    neutral = torch.zeros(len(target), len(model.basis)).to(target)
    pose = solid_pose(model, target, model.reliability.expand(len(target), -1), neutral)
    centred = target - target.mean(1, keepdim=True)
    return centred @ pose.rotation / pose.scale[:, None, None], pose.rotation


def features(aligned: Tensor, rotation: Tensor, seen: Tensor, mean: Tensor, basis: Tensor) -> Tensor:
    """(B, F): reported coefficients and landmark components, the head's turn, and their products with the yaw."""
    turn = matrix_to_euler_degrees(rotation) / 30
    pitch, yaw = turn[:, :1], turn[:, 1:2]
    plain = torch.cat([seen, (aligned.flatten(1) - mean) @ basis], 1)
    return torch.cat([plain, yaw * plain, yaw, pitch, yaw * yaw, yaw * pitch, pitch * pitch], 1)


def regress(learned: Regression, model: LandmarkModel, target: Tensor, seen: Tensor) -> Prior:
    """The prior of B faces from levelled landmarks (B, N, 3) and reported coefficients (B, 52)."""
    aligned, rotation = aligned_landmarks(model, target)
    inputs = features(aligned, rotation, seen, learned.point_mean, learned.point_basis)
    answer = (inputs - learned.feature_mean) / learned.feature_scale @ learned.weights + learned.bias
    turned = rotation @ axis_angle_to_matrix(answer[:, :3])
    count = answer.shape[1] - 3
    return Prior(turned, torch.clamp(answer[:, 3:], model.lower[:count], model.upper[:count]), learned.precision)
