"""Stage B: batched, box-constrained, robust Levenberg-Marquardt over pose, identity, expression and gaze together."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from diffusionrig.capture.fit.landmark_model import LandmarkModel
from diffusionrig.capture.fit.projection import N_RIGID, Pose, project_landmarks, projection_jacobian, step_pose
from diffusionrig.geometry.rotations import matrix_to_axis_angle


@dataclasses.dataclass(frozen=True)
class Observation:
    """What was seen of B faces, in any image unit.

    target     (B, N, 3)  x right, y up, depth towards the viewer (mean depth 0)
    sigma      (B, N, 3)  standard deviation of each number; infinite where it says nothing (depth of a flat picture)
    weight     (B, N)     0..1, trust in each point of each face
    robust     residual, in standard deviations, at which Geman-McClure halves the pull of a point; inf = least squares
    """

    target: Tensor
    sigma: Tensor
    weight: Tensor
    robust: float


@dataclasses.dataclass(frozen=True)
class Prior:
    """Gaussian prior of rotation and coefficients: ``rotation`` (B, 3, 3), ``mean`` (B, C), and ``precision`` (3 + C, 3 + C) or
    (B, 3 + C, 3 + C), symmetric and positive semi-definite, of (turn in the head's frame, coefficients) around them."""

    rotation: Tensor
    mean: Tensor
    precision: Tensor

    def offset(self, pose: Pose) -> Tensor:
        """(B, 3 + C): how far ``pose`` is from the prior's mean."""
        turn = matrix_to_axis_angle(self.rotation.transpose(1, 2) @ pose.rotation)
        return torch.cat([turn, pose.coefficients - self.mean], 1)

    def pull(self, offset: Tensor) -> Tensor:
        """(B, 3 + C): half the gradient of the quadratic at ``offset`` (B, 3 + C)."""
        return (offset[:, None] @ self.precision)[:, 0]


def _robust_cost(square: Tensor, scale: float) -> Tensor:
    # Geman & McClure: k^2 r^2 / (k^2 + r^2); about r^2 for small residuals, at most k^2.
    return square if scale == float("inf") else square * scale**2 / (scale**2 + square)


def _robust_weight(square: Tensor, scale: float) -> Tensor:
    return torch.ones_like(square) if scale == float("inf") else (scale**2 / (scale**2 + square)).square()


def _cost(model: LandmarkModel, pose: Pose, seen: Observation, prior: Prior) -> Tensor:
    square = ((project_landmarks(model, pose) - seen.target) / seen.sigma).square().sum(-1)
    off = prior.offset(pose)
    return (seen.weight * _robust_cost(square, seen.robust)).sum(1) + (prior.pull(off) * off).sum(1)


def normal_equations(model: LandmarkModel, pose: Pose, seen: Observation, prior: Prior) -> tuple[Tensor, Tensor]:
    """Gauss-Newton Hessian (B, P, P) and half gradient (B, P) of the cost at ``pose``, P = N_RIGID + C."""
    plane, jacobian = projection_jacobian(model, pose)
    residual = (plane - seen.target) / seen.sigma
    weight = seen.weight * _robust_weight(residual.square().sum(-1), seen.robust)
    scaled = (jacobian / seen.sigma[:, None] * weight.sqrt()[:, None, :, None]).flatten(2)
    hessian = scaled @ scaled.transpose(1, 2)
    gradient = (scaled @ (residual * weight.sqrt()[..., None]).flatten(1)[..., None])[..., 0]
    # An increment w of the step turns by R' w in the head's frame.
    inward = pose.rotation.transpose(1, 2)
    pull = prior.pull(prior.offset(pose))
    gradient[:, :3] += (inward.transpose(1, 2) @ pull[:, :3, None])[..., 0]
    gradient[:, N_RIGID:] += pull[:, 3:]
    crossed = inward.transpose(1, 2) @ prior.precision[..., :3, 3:]
    hessian[:, :3, :3] += inward.transpose(1, 2) @ prior.precision[..., :3, :3] @ inward
    hessian[:, :3, N_RIGID:] += crossed
    hessian[:, N_RIGID:, :3] += crossed.transpose(1, 2)
    hessian[:, N_RIGID:, N_RIGID:] += prior.precision[..., 3:, 3:]
    return hessian, gradient


def solve(model: LandmarkModel, start: Pose, seen: Observation, prior: Prior, iterations: int = 15) -> Pose:
    """Minimise robust reprojection error plus prior from ``start``; a fixed number of iterations, no randomness.

    Coefficients at a bound whose gradient pushes outward are held for the step (Bertsekas, "Projected Newton methods",
    1982); each face has a damping of its own, so faces do not influence one another.
    """
    pose = start
    damping = torch.full_like(start.scale, 1e-2)
    cost = _cost(model, pose, seen, prior)
    eye = torch.eye(N_RIGID + model.basis.shape[0], dtype=cost.dtype, device=cost.device)
    for _ in range(iterations):
        hessian, gradient = normal_equations(model, pose, seen, prior)
        slope = gradient[:, N_RIGID:]
        held = ((pose.coefficients <= model.lower) & (slope > 0)) | ((pose.coefficients >= model.upper) & (slope < 0))
        free = torch.cat([torch.ones_like(gradient[:, :N_RIGID]), (~held).to(gradient)], 1)
        damped = hessian + eye * (damping[:, None] * torch.diagonal(hessian, dim1=1, dim2=2) + 1e-9)[:, None]
        damped = damped * free[:, :, None] * free[:, None] + eye * (1 - free)[:, None]
        factor, _ = torch.linalg.cholesky_ex(damped)
        step = -torch.cholesky_solve((gradient * free)[..., None], factor)[..., 0]
        trial = step_pose(pose, step, model.lower, model.upper)
        trial_cost = _cost(model, trial, seen, prior)
        better = trial_cost < cost
        pose, cost = pose.where(better, trial), torch.where(better, trial_cost, cost)
        damping = torch.where(better, damping * 0.2, damping * 8).clamp(1e-6, 1e6)
    return pose
