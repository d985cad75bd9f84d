"""Stage A: rotation, scale and shift in closed form, the head's shape held fixed."""

from __future__ import annotations

import torch
from torch import Tensor

from diffusionrig.capture.fit.landmark_model import LandmarkModel
from diffusionrig.capture.fit.projection import Pose


def orthographic_pose(model: LandmarkModel, target: Tensor, weight: Tensor, coefficients: Tensor) -> Pose:
    """Scaled-orthographic pose from points in the image.

    ``target`` (B, N, 2), y up; ``weight`` (B, N); ``coefficients`` (B, C) give the shape. Least squares for the 2 x 3
    affine camera, then the nearest scaled pair of orthonormal rows by its singular value decomposition, the third row
    being their cross product.
    """
    points = model.points(coefficients)
    share = (weight / weight.sum(1, keepdim=True))[..., None]
    middle, spot = (share * points).sum(1, keepdim=True), (share * target).sum(1, keepdim=True)
    centred, image = points - middle, target - spot
    cross = (share * image).transpose(1, 2) @ centred
    spread = (share * centred).transpose(1, 2) @ centred
    affine = torch.linalg.solve(spread, cross.transpose(1, 2)).transpose(1, 2)
    left, values, right = torch.linalg.svd(affine, full_matrices=False)
    rows = left @ right
    rotation = torch.cat([rows, torch.linalg.cross(rows[:, :1], rows[:, 1:], dim=-1)], 1)
    scale = values.mean(1)
    shift = spot[:, 0] - scale[:, None] * ((middle[:, 0] - model.centre)[:, None] @ rows.transpose(1, 2))[:, 0]
    return Pose(rotation, scale, shift, coefficients)


def solid_pose(model: LandmarkModel, target: Tensor, weight: Tensor, coefficients: Tensor) -> Pose:
    """Similarity transform onto points with depth, ``target`` (B, N, 3), y up, z towards the viewer.

    Weighted Procrustes: Umeyama, "Least-squares estimation of transformation parameters between two point patterns",
    PAMI 1991.
    """
    points = model.points(coefficients)
    share = (weight / weight.sum(1, keepdim=True))[..., None]
    middle, spot = (share * points).sum(1, keepdim=True), (share * target).sum(1, keepdim=True)
    centred, image = points - middle, target - spot
    left, values, right = torch.linalg.svd((share * image).transpose(1, 2) @ centred)
    sign = torch.ones_like(values)
    sign[:, 2] = torch.det(left @ right).sign()
    rotation = left @ (sign[..., None] * right)
    scale = (values * sign).sum(1) / (share * centred.square()).sum((1, 2))
    shift = spot[:, 0] - scale[:, None] * (rotation @ (middle[:, 0] - model.centre)[..., None])[..., 0]
    return Pose(rotation, scale, shift[:, :2], coefficients)
