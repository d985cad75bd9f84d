"""Rotations as axis-angle vectors (radians) and 3 x 3 matrices; batched, differentiable, exact at zero."""

from __future__ import annotations

import torch
from torch import Tensor


def skew(vector: Tensor) -> Tensor:
    """Cross-product matrix: (..., 3) -> (..., 3, 3), ``skew(a) @ b == a x b``."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*vector.shape, 3)


def axis_angle_to_matrix(vector: Tensor) -> Tensor:
    """Rodrigues' formula: (..., 3) -> (..., 3, 3). Smooth at the identity (series for small angles)."""
    square = (vector * vector).sum(-1)[..., None, None]
    small = square < 1e-6
    angle = torch.where(small, torch.ones_like(square), square).sqrt()
    first = torch.where(small, 1 - square / 6 + square * square / 120, angle.sin() / angle)
    second = torch.where(small, 0.5 - square / 24 + square * square / 720, (1 - angle.cos()) / (angle * angle))
    cross = skew(vector)
    return torch.eye(3, dtype=vector.dtype, device=vector.device) + first * cross + second * (cross @ cross)


def flame_rotation(vector: Tensor) -> Tensor:
    """Rodrigues' formula with FLAME's epsilon (Li et al. 2017): (..., 3) -> (..., 3, 3).

    angle = |vector + 1e-8|, axis = vector / angle. Exactly the identity at zero, and differentiable there; elsewhere it
    differs from ``axis_angle_to_matrix`` by about 1e-8 per radian, which a reproduction of published numbers in double
    precision sees.
    """
    angle = (vector + 1e-8).norm(dim=-1)[..., None, None]
    cross = skew(vector / angle[..., 0])
    turned = torch.eye(3, dtype=vector.dtype, device=vector.device) + angle.sin() * cross
    return turned + (1 - angle.cos()) * (cross @ cross)


def matrix_to_axis_angle(matrix: Tensor) -> Tensor:
    """(..., 3, 3) -> (..., 3) with angle in [0, pi]; through the quaternion, so that it is accurate at every angle."""
    m = matrix
    diagonal = torch.diagonal(m, dim1=-2, dim2=-1)
    trace = diagonal.sum(-1)
    x, y, z = diagonal.unbind(-1)
    # Shepperd: of the four equivalent quaternions take the one whose pivot is largest.
    pivots = torch.stack([trace, x, y, z], -1)
    yz, zx, xy = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    sxy, sxz, syz = m[..., 0, 1] + m[..., 1, 0], m[..., 0, 2] + m[..., 2, 0], m[..., 1, 2] + m[..., 2, 1]
    candidates = torch.stack([
        torch.stack([1 + trace, yz, zx, xy], -1),
        torch.stack([yz, 1 + x - y - z, sxy, sxz], -1),
        torch.stack([zx, sxy, 1 - x + y - z, syz], -1),
        torch.stack([xy, sxz, syz, 1 - x - y + z], -1),
    ], -2)
    choice = pivots.argmax(-1)[..., None, None].expand(*pivots.shape[:-1], 1, 4)
    quaternion = candidates.gather(-2, choice).squeeze(-2)
    quaternion = quaternion / quaternion.norm(dim=-1, keepdim=True)
    quaternion = torch.where(quaternion[..., :1] < 0, -quaternion, quaternion)
    cosine, vector = quaternion[..., :1], quaternion[..., 1:]
    square = (vector * vector).sum(-1, keepdim=True)
    tiny = square < 1e-12
    sine = torch.where(tiny, torch.ones_like(square), square).sqrt()
    scale = torch.where(tiny, 2 / cosine.clamp_min(0.5), 2 * torch.atan2(sine, cosine) / sine)
    return vector * scale


def interpolate_rotation(start: Tensor, end: Tensor, amount: float) -> Tensor:
    """Along the geodesic from ``start`` (0) to ``end`` (1), both (..., 3) axis-angle; ends are returned untouched."""
    if amount == 0:
        return start
    if amount == 1:
        return end
    first = axis_angle_to_matrix(start)
    step = matrix_to_axis_angle(first.transpose(-1, -2) @ axis_angle_to_matrix(end))
    return matrix_to_axis_angle(first @ axis_angle_to_matrix(step * amount))


def euler_degrees_to_axis_angle(pitch: float, yaw: float, roll: float) -> Tensor:
    """Head turn in degrees -> axis-angle (3,): R = Ry(yaw) Rx(pitch) Rz(roll).

    Frame: x subject's left, y up, z out of the face. Positive yaw turns the face towards the subject's left, positive
    pitch looks down, positive roll tips the top of the head towards the subject's right.
    """
    angles = torch.deg2rad(torch.tensor([pitch, yaw, roll], dtype=torch.float64))
    x, y, z = axis_angle_to_matrix(torch.diag(angles))
    return matrix_to_axis_angle(y @ x @ z)


def matrix_to_euler_degrees(matrix: Tensor) -> Tensor:
    """(..., 3, 3) -> (..., 3) pitch, yaw, roll in degrees, the inverse of ``euler_degrees_to_axis_angle``."""
    yaw = torch.atan2(matrix[..., 0, 2], matrix[..., 2, 2])
    pitch = torch.atan2(-matrix[..., 1, 2], torch.hypot(matrix[..., 0, 2], matrix[..., 2, 2]))
    roll = torch.atan2(matrix[..., 1, 0], matrix[..., 1, 1])
    return torch.rad2deg(torch.stack([pitch, yaw, roll], -1))
