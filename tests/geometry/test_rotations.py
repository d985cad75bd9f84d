"""Rotations: round trips, special angles, gradients."""

from __future__ import annotations

import math

import pytest
import torch

from diffusionrig.geometry.rotations import (
    axis_angle_to_matrix,
    euler_degrees_to_axis_angle,
    interpolate_rotation,
    matrix_to_axis_angle,
    matrix_to_euler_degrees,
    skew,
)


def directions(count=50):
    vectors = torch.randn(count, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return vectors / vectors.norm(dim=1, keepdim=True)


def test_skew_is_the_cross_product():
    a, b = directions(2)
    assert torch.allclose(skew(a) @ b, torch.linalg.cross(a, b))


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-5, 9.99e-4, 1.01e-3, 0.3, 1.5, 3.0, math.pi - 1e-6])
def test_axis_angle_round_trip(angle):
    vectors = directions() * angle
    matrices = axis_angle_to_matrix(vectors)
    assert torch.allclose(matrices, torch.linalg.matrix_exp(skew(vectors)), atol=1e-12)
    assert torch.allclose(matrices @ matrices.transpose(1, 2), torch.eye(3, dtype=torch.float64), atol=1e-12)
    assert torch.allclose(matrix_to_axis_angle(matrices), vectors, atol=1e-8)


def test_zero_is_exactly_the_identity():
    assert torch.equal(axis_angle_to_matrix(torch.zeros(3)), torch.eye(3))
    assert torch.equal(matrix_to_axis_angle(torch.eye(3)), torch.zeros(3))


def test_half_turns_come_back_as_a_half_turn():
    matrices = axis_angle_to_matrix(directions() * math.pi)
    back = matrix_to_axis_angle(matrices)
    assert torch.allclose(back.norm(dim=1), torch.full((50,), math.pi, dtype=torch.float64), atol=1e-6)
    assert torch.allclose(axis_angle_to_matrix(back), matrices, atol=1e-7)


def test_gradient_is_finite_at_and_near_zero():
    for angle in (0.0, 1e-12, 1e-4, 0.5):
        vector = (directions(1) * angle).requires_grad_(True)
        (axis_angle_to_matrix(vector) * torch.arange(9.0).view(3, 3)).sum().backward()
        assert torch.isfinite(vector.grad).all()
    assert torch.autograd.gradcheck(axis_angle_to_matrix, (directions(3) * 0.7).requires_grad_(True))


def test_interpolation_follows_the_geodesic():
    start, end = directions(2)[:, None] * torch.tensor([0.4, 1.1], dtype=torch.float64)[:, None, None]
    assert interpolate_rotation(start, end, 0) is start
    assert interpolate_rotation(start, end, 1) is end
    first, last = axis_angle_to_matrix(start), axis_angle_to_matrix(end)

    def angle(a, b):
        return matrix_to_axis_angle(a.transpose(-1, -2) @ b).norm()

    for amount in (0.25, 0.5, 1.5):
        middle = axis_angle_to_matrix(interpolate_rotation(start, end, amount))
        assert torch.allclose(angle(first, middle), amount * angle(first, last), atol=1e-9)


def test_euler_angles_turn_the_way_they_say():
    forward, up = torch.tensor([0, 0, 1.0], dtype=torch.float64), torch.tensor([0, 1.0, 0], dtype=torch.float64)
    assert (axis_angle_to_matrix(euler_degrees_to_axis_angle(0, 30, 0)) @ forward)[0] > 0.4  # towards the subject's left
    assert (axis_angle_to_matrix(euler_degrees_to_axis_angle(30, 0, 0)) @ forward)[1] < -0.4  # looks down
    assert (axis_angle_to_matrix(euler_degrees_to_axis_angle(0, 0, 30)) @ up)[0] < -0.4  # tips to the subject's right


@pytest.mark.parametrize("angles", [(10, 20, 30), (-60, 80, -170), (0, 179, 0), (85, -120, 5)])
def test_euler_round_trip(angles):
    matrix = axis_angle_to_matrix(euler_degrees_to_axis_angle(*angles))
    assert torch.allclose(matrix_to_euler_degrees(matrix), torch.tensor(angles, dtype=torch.float64), atol=1e-8)
