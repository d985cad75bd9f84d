"""Stage C: light, skin and a last correction of the geometry from the colours of the photograph, all at once.

Each surface sample should show albedo x shading where it is projected. Gauss-Newton over pose, identity, expression, light
and albedo together; the landmark fit enters as the quadratic prior that it is near its minimum, so that features which
landmarks place within a pixel or two (brows, lids, lips) settle where they are seen.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor
from torch.nn.functional import normalize

from diffusionrig.capture.fit.frames import Levelled, crop_turn, pose_in_crop
from diffusionrig.capture.fit.landmark_model import LandmarkModel, neutral_code
from diffusionrig.capture.fit.photometry import ColourNoise, LightPrior
from diffusionrig.capture.fit.projection import N_RIGID, Pose, step_pose
from diffusionrig.capture.fit.solver import Observation, Prior, normal_equations
from diffusionrig.capture.fit.surface import Surface, samples_of
from diffusionrig.capture.fit.view import sample_view
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.rotations import matrix_to_axis_angle, skew
from diffusionrig.render.shading import BAND_CONSTANTS, sh_basis


@dataclasses.dataclass(frozen=True)
class LandmarkPosterior:
    """The landmark fit as a quadratic about ``pose`` (crop plane, y up): ``gradient`` (B, P) and ``precision`` (B, P, P) for
    the N_RIGID + C parameters in ``step_pose`` order, error modes summed out. The gradient is zero but at bounds."""

    pose: Pose
    gradient: Tensor
    precision: Tensor


def landmark_posterior(model: LandmarkModel, pose: Pose, seen: Observation, prior: Prior, levelled: Levelled,
                       crop: Tensor) -> LandmarkPosterior:
    """The quadratic at a fitted ``pose`` of the levelled frame, carried over to the crop plane."""
    hessian, gradient = normal_equations(model, pose, seen, prior)
    keep = N_RIGID + (model.parts["error"].start if "error" in model.parts else len(model.basis))
    cross, noise = hessian[:, :keep, keep:], hessian[:, keep:, keep:]
    solved = torch.linalg.solve(noise, torch.cat([cross.transpose(1, 2), gradient[:, keep:, None]], 2))
    precision = hessian[:, :keep, :keep] - cross @ solved[..., :-1]
    gradient = gradient[:, :keep] - (cross @ solved[..., -1:])[..., 0]
    turn, factor = crop_turn(levelled, crop)
    back = torch.eye(keep).to(precision).repeat(len(precision), 1, 1)
    back[:, :3, :3] = turn.transpose(1, 2)
    back[:, 4:6, 4:6] = turn[:, :2, :2].transpose(1, 2) / factor[:, None, None]
    return LandmarkPosterior(pose_in_crop(pose, levelled, crop), (back.transpose(1, 2) @ gradient[..., None])[..., 0],
                             back.transpose(1, 2) @ precision @ back)


@dataclasses.dataclass
class Appearance:
    """light (B, 9, 3) and albedo coefficients (B, A)."""

    light: Tensor
    albedo: Tensor


def shading_gradient(normals: Tensor, light: Tensor) -> Tensor:
    """(B, K, 3), (B, 9, 3) -> (B, K, 3 axes, 3 colours): derivative of ``sh_basis(normals) @ light`` by the normal."""
    x, y, z = normals.unbind(-1)
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    by_x = torch.stack([zero, one, zero, zero, y, z, zero, 2 * x, zero], -1)
    by_y = torch.stack([zero, zero, one, zero, x, zero, z, -2 * y, zero], -1)
    by_z = torch.stack([zero, zero, zero, one, zero, x, y, zero, 6 * z], -1)
    return torch.stack([by_x, by_y, by_z], 2) * normals.new_tensor(BAND_CONSTANTS) @ light[:, None]


def place_samples(head: HeadModel, model: LandmarkModel, surface: Surface, pose: Pose) -> tuple[Tensor, Tensor, Tensor]:
    """Samples under ``pose``: turned points and normals (B, K, 3) about the model's centre, and crop plane (B, K, 2), y down."""
    parts = model.parts
    code = neutral_code(head, len(pose.scale), surface.albedo)
    coefficients = pose.coefficients.to(surface.albedo)
    code.shape[:, parts["shape"]] = coefficients[:, parts["shape"]]
    code.expression[:] = coefficients[:, parts["expression"]]
    if parts["jaw"].stop > parts["jaw"].start:
        code.pose[:, 3:] = coefficients[:, parts["jaw"]]
    points, normals = samples_of(head, code, surface.face, surface.barycentric)
    rotation = pose.rotation.to(points)
    turned = (points - model.centre.to(points)) @ rotation.transpose(1, 2)
    plane = pose.scale.to(points)[:, None, None] * turned[..., :2] + pose.shift.to(points)[:, None]
    return turned, normals @ rotation.transpose(1, 2), plane * plane.new_tensor([1.0, -1.0])


def refine(head: HeadModel, model: LandmarkModel, surface: Surface, view: Tensor, weight: Tensor, start: LandmarkPosterior,
           appearance: Appearance, prior: LightPrior, noise: ColourNoise, iterations: int) -> tuple[Pose, Appearance]:
    """Improve pose and appearance together.

    ``view`` as from ``look``; ``weight`` (B, K) 0..1, how far each sample is visible skin. Steps that raise the cost of a
    face are refused and its damping raised.
    """
    pose, best = start.pose, appearance
    damping = torch.full_like(pose.scale, 1e-3)
    cost, equations = _evaluate(head, model, surface, view, weight, pose, best, start, prior, noise)
    for _ in range(iterations):
        hessian, gradient = equations
        count = start.precision.shape[1]
        slope = gradient[:, N_RIGID:count]
        now, low, high = pose.coefficients[:, :count - N_RIGID], model.lower[:count - N_RIGID], model.upper[:count - N_RIGID]
        held = ((now <= low) & (slope > 0)) | ((now >= high) & (slope < 0))
        free = torch.ones_like(gradient)
        free[:, N_RIGID:count] = (~held).to(free)
        diagonal = torch.diagonal(hessian, dim1=1, dim2=2)
        damped = hessian * free[:, :, None] * free[:, None] + torch.diag_embed(damping[:, None] * diagonal * free + 1 - free)
        factor, _ = torch.linalg.cholesky_ex(damped)
        step = -torch.cholesky_solve((gradient * free)[..., None], factor)[..., 0]
        padded = torch.cat([step[:, :count], step.new_zeros(len(step), pose.coefficients.shape[1] - count + N_RIGID)], 1)
        trial = step_pose(pose, padded, model.lower, model.upper)
        looks = Appearance(best.light + step[:, count:count + 27].reshape(-1, 9, 3).to(best.light),
                           best.albedo + step[:, count + 27:].to(best.albedo))
        trial_cost, trial_equations = _evaluate(head, model, surface, view, weight, trial, looks, start, prior, noise)
        better = trial_cost < cost
        pose, cost = pose.where(better, trial), torch.where(better, trial_cost, cost)
        best = Appearance(torch.where(better[:, None, None], looks.light, best.light),
                          torch.where(better[:, None], looks.albedo, best.albedo))
        equations = (torch.where(better[:, None, None], trial_equations[0], hessian),
                     torch.where(better[:, None], trial_equations[1], gradient))
        damping = torch.where(better, damping * 0.3, damping * 10)
    return pose, best


def _residual(head: HeadModel, model: LandmarkModel, surface: Surface, view: Tensor, pose: Pose,
              looks: Appearance) -> tuple[Tensor, ...]:
    turned, normals, plane = place_samples(head, model, surface, pose)
    colour, slopes, inside = sample_view(view, plane)
    albedo = surface.albedo + torch.einsum("ba,akc->bkc", looks.albedo, surface.albedo_basis)
    bands = sh_basis(normals)
    shading = bands @ looks.light
    return albedo * shading - colour, turned, normals, slopes, inside, albedo, bands, shading


def _evaluate(head: HeadModel, model: LandmarkModel, surface: Surface, view: Tensor, weight: Tensor, pose: Pose,
              looks: Appearance, start: LandmarkPosterior, prior: LightPrior,
              noise: ColourNoise) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Cost (B,) and normal equations (B, P + 27 + A, ...) at ``pose`` and ``looks``."""
    error, turned, normals, slopes, inside, albedo, bands, shading = _residual(head, model, surface, view, pose, looks)
    square = error.square().sum(-1)
    seen = weight * inside
    pull = seen * noise.pull(square)
    tint = albedo[:, :, None] * shading_gradient(normals, looks.light)  # colour change per change of the normal
    size, rotation = pose.scale.to(turned), pose.rotation.to(turned)
    flow = slopes * slopes.new_tensor([1.0, -1.0])[:, None]  # image derivative along x right, y up

    # Rotation moves samples by w x p and normals by w x n; (w x p) . g = w . (p x g).
    lift = torch.cat([flow * size[:, None, None, None], torch.zeros_like(flow[:, :, :1])], 2)
    by_rotation = skew(normals) @ tint - skew(turned) @ lift
    planar = (turned[..., :2] * size[:, None, None])[..., None]
    by_scale = -(planar * flow).sum(2, keepdim=True)
    rigid = torch.cat([by_rotation, by_scale, -flow], 2).transpose(1, 2)
    # Coefficients move samples and normals in the head's frame: pull the image and shading derivatives back into it.
    inward_flow = rotation.transpose(1, 2)[:, None] @ lift
    inward_tint = rotation.transpose(1, 2)[:, None] @ tint
    shape = torch.einsum("pkx,bkxc->bpkc", surface.normals, inward_tint) - torch.einsum("pkx,bkxc->bpkc", surface.points,
                                                                                        inward_flow)
    eye = torch.eye(3, dtype=error.dtype, device=error.device)
    by_light = torch.einsum("bkc,bks,cd->bsdkc", albedo, bands, eye).flatten(1, 2)
    by_albedo = shading[:, None] * surface.albedo_basis
    count = start.precision.shape[1]
    unused = error.new_zeros(len(error), count - N_RIGID - shape.shape[1], *error.shape[1:])
    jacobian = torch.cat([rigid, shape, unused, by_light, by_albedo], 1)
    root = pull.sqrt() / noise.sigma[:, None]
    scaled = (jacobian * root[:, None, :, None]).flatten(2)
    hessian = (scaled @ scaled.transpose(1, 2)).to(start.precision)
    gradient = (scaled @ (error * root[..., None]).reshape(len(error), -1, 1))[..., 0].to(start.precision)

    turn = matrix_to_axis_angle(pose.rotation @ start.pose.rotation.transpose(1, 2))
    moved = torch.cat([turn, (pose.scale / start.pose.scale).log()[:, None], pose.shift - start.pose.shift,
                       (pose.coefficients - start.pose.coefficients)[:, :count - N_RIGID]], 1)
    towards = start.gradient + (start.precision @ moved[..., None])[..., 0]
    off = (looks.light - prior.mean).flatten(1)
    hessian[:, :count, :count] += start.precision
    hessian[:, count:count + 27, count:count + 27] += prior.precision
    hessian[:, count + 27:, count + 27:] += torch.eye(looks.albedo.shape[1]).to(hessian)
    gradient[:, :count] += towards
    gradient[:, count:count + 27] += off @ prior.precision
    gradient[:, count + 27:] += looks.albedo
    scale = noise.robust.square()[:, None]
    robust = seen * square * scale / (scale + square) / noise.sigma.square()[:, None]
    cost = (robust.sum(1) + (moved * (towards + start.gradient)).sum(1) + ((off @ prior.precision) * off).sum(1)
            + looks.albedo.square().sum(1))
    return cost, (hessian, gradient)


def facing(normals: Tensor, low: float = 0.2, high: float = 0.45) -> Tensor:
    """0..1 by the cosine between (unnormalised) normals and the view: silhouettes are neither well placed nor well lit."""
    return ((normalize(normals, dim=-1)[..., 2] - low) / (high - low)).clamp(0, 1)
