"""The landmark solver against exact projections of a known head."""

from __future__ import annotations

import pytest
import torch

from diffusionrig.capture.fit.landmark_model import LandmarkModel
from diffusionrig.capture.fit.projection import Pose, project_landmarks, projection_jacobian, step_pose
from diffusionrig.capture.fit.rigid import orthographic_pose, solid_pose
from diffusionrig.capture.fit.solver import Observation, Prior, solve
from diffusionrig.geometry.rotations import axis_angle_to_matrix
from diffusionrig.randomness import torch_stream

SHAPE, EXPRESSION, POINTS = 6, 8, 90


def small_model() -> LandmarkModel:
    stream = torch_stream("tests", "landmark model")
    ball = torch.nn.functional.normalize(torch.randn(POINTS, 3, generator=stream, dtype=torch.float64), dim=-1)
    ball[:, 2] = ball[:, 2].abs()
    count = SHAPE + EXPRESSION
    basis = 0.004 * torch.randn(count, POINTS, 3, generator=stream, dtype=torch.float64)
    # Independent of rigid motion and of one another, so that the truth is the only minimum.
    lower = torch.full((count,), -float("inf"), dtype=torch.float64)
    upper = -lower
    lower[SHAPE:], upper[SHAPE:] = 0, 1
    parts = {"shape": slice(0, SHAPE), "expression": slice(SHAPE, count), "jaw": slice(count, count),
             "eyes": slice(count, count)}
    return LandmarkModel(0.08 * ball, basis, ball, torch.ones(POINTS, dtype=torch.float64), lower, upper,
                         0.08 * ball.mean(0), parts)


def random_poses(batch: int, model: LandmarkModel) -> Pose:
    stream = torch_stream("tests", "poses")
    draw = torch.randn(batch, 6 + model.basis.shape[0], generator=stream, dtype=torch.float64)
    coefficients = draw[:, 6:].clone()
    coefficients[:, SHAPE:] = coefficients[:, SHAPE:].clamp(0, 1)
    return Pose(axis_angle_to_matrix(0.35 * draw[:, :3]), (0.1 * draw[:, 3]).exp() * 8, 0.1 * draw[:, 4:6], coefficients)


def observe(model: LandmarkModel, pose: Pose, robust: float = 5.0) -> Observation:
    sigma = torch.tensor([0.005, 0.005, float("inf")], dtype=torch.float64).expand(len(pose.scale), POINTS, 3)
    target = project_landmarks(model, pose)
    return Observation(target, sigma, torch.ones(target.shape[:2], dtype=torch.float64), robust)


def flat_prior(model: LandmarkModel, batch: int) -> Prior:
    count = model.basis.shape[0]
    return gaussian(torch.zeros(batch, count, dtype=torch.float64), 1e-9)


def gaussian(mean: torch.Tensor, strength: float) -> Prior:
    """Prior around ``mean`` that says nothing of the rotation."""
    precision = strength * torch.eye(3 + mean.shape[1], dtype=mean.dtype)
    precision[:3, :3] = 0
    return Prior(torch.eye(3, dtype=mean.dtype).expand(len(mean), 3, 3), mean, precision)


def start_from(model: LandmarkModel, seen: Observation) -> Pose:
    zero = torch.zeros(len(seen.target), model.basis.shape[0], dtype=torch.float64)
    return orthographic_pose(model, seen.target[..., :2], seen.weight, zero)


def test_jacobian_agrees_with_finite_differences() -> None:
    model = small_model()
    pose = random_poses(2, model)
    plane, jacobian = projection_jacobian(model, pose)
    assert torch.equal(plane, project_landmarks(model, pose))
    free = torch.full_like(model.lower, -float("inf"))
    delta = 1e-6
    for parameter in range(jacobian.shape[1]):
        step = torch.zeros(2, jacobian.shape[1], dtype=torch.float64)
        step[:, parameter] = delta
        ahead = project_landmarks(model, step_pose(pose, step, free, -free))
        behind = project_landmarks(model, step_pose(pose, -step, free, -free))
        torch.testing.assert_close((ahead - behind) / (2 * delta), jacobian[:, parameter], atol=1e-7, rtol=1e-7)


def test_closed_forms_are_exact_for_a_rigid_head() -> None:
    model = small_model()
    pose = random_poses(5, model)
    points = project_landmarks(model, pose)
    weight = torch.rand(5, POINTS, generator=torch_stream("w"), dtype=torch.float64) + 0.1
    for found in (orthographic_pose(model, points[..., :2], weight, pose.coefficients),
                  solid_pose(model, points, weight, pose.coefficients)):
        for mine, truth in zip(found.fields(), pose.fields()):
            torch.testing.assert_close(mine, truth, atol=1e-9, rtol=1e-9)


def test_exact_landmarks_give_back_every_parameter() -> None:
    model = small_model()
    truth = random_poses(6, model)
    seen = observe(model, truth)
    found = solve(model, start_from(model, seen), seen, flat_prior(model, 6), iterations=40)
    for mine, wanted in zip(found.fields(), truth.fields()):
        torch.testing.assert_close(mine, wanted, atol=2e-4, rtol=2e-4)


def test_a_few_wild_points_do_not_pull_the_fit() -> None:
    model = small_model()
    truth = random_poses(4, model)
    seen = observe(model, truth)
    seen.target[:, ::15, :2] += 0.4
    found = solve(model, start_from(model, seen), seen, flat_prior(model, 4), iterations=40)
    calm = solve(model, start_from(model, seen), observe_like(seen, float("inf")), flat_prior(model, 4), iterations=40)
    robust_error = (found.coefficients - truth.coefficients).abs().mean()
    assert robust_error < 0.02
    assert (calm.coefficients - truth.coefficients).abs().mean() > 5 * robust_error


def observe_like(seen: Observation, robust: float) -> Observation:
    return Observation(seen.target, seen.sigma, seen.weight, robust)


def test_bounds_hold_when_the_truth_lies_outside() -> None:
    model = small_model()
    truth = random_poses(3, model)
    truth.coefficients[:, SHAPE] = 1.5
    seen = observe(model, truth)
    found = solve(model, start_from(model, seen), seen, flat_prior(model, 3))
    weights = found.coefficients[:, SHAPE:]
    assert weights.min() >= 0
    assert weights.max() <= 1
    assert (weights[:, 0] == 1).all()


def test_a_batch_equals_its_faces_one_by_one() -> None:
    model = small_model()
    seen = observe(model, random_poses(4, model))
    prior = flat_prior(model, 4)
    together = solve(model, start_from(model, seen), seen, prior)
    for i in range(4):
        row = slice(i, i + 1)
        alone = Observation(seen.target[row], seen.sigma[row], seen.weight[row], seen.robust)
        found = solve(model, start_from(model, alone), alone, Prior(prior.rotation[row], prior.mean[row], prior.precision))
        for mine, batched in zip(found.fields(), together.fields()):
            torch.testing.assert_close(mine, batched[row], atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize("pull", [1e-3, 1e6])
def test_the_prior_decides_what_the_points_do_not(pull: float) -> None:
    model = small_model()
    seen = observe(model, random_poses(2, model))
    blind = Observation(seen.target, seen.sigma, torch.zeros_like(seen.weight), seen.robust)
    mean = torch.full((2, model.basis.shape[0]), 0.3, dtype=torch.float64)
    found = solve(model, start_from(model, seen), blind, gaussian(mean, pull))
    torch.testing.assert_close(found.coefficients, mean, atol=1e-3, rtol=0)


def test_a_prior_of_the_rotation_holds_the_head() -> None:
    model = small_model()
    pose = random_poses(3, model)
    seen = observe(model, pose)
    blind = Observation(seen.target, seen.sigma, 1e-12 * seen.weight, seen.robust)
    wanted = axis_angle_to_matrix(torch.tensor([[0.3, -0.2, 0.1]], dtype=torch.float64)).expand(3, 3, 3)
    count = model.basis.shape[0]
    prior = Prior(wanted, torch.zeros(3, count, dtype=torch.float64), torch.eye(3 + count, dtype=torch.float64))
    found = solve(model, start_from(model, seen), blind, prior, iterations=30)
    torch.testing.assert_close(found.rotation, wanted, atol=1e-5, rtol=0)
