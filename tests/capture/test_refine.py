"""The photometric stage: derivatives, and a correction it must find."""

from __future__ import annotations

import pytest
import torch

from diffusionrig.capture.fit import refine as stage
from diffusionrig.capture.fit.encoder import FitEncoder
from diffusionrig.capture.fit.landmark_model import neutral_code
from diffusionrig.capture.fit.photometry import ColourNoise, LightPrior
from diffusionrig.capture.fit.projection import N_RIGID, Pose, step_pose
from diffusionrig.capture.fit.view import VIEW
from diffusionrig.geometry.rotations import axis_angle_to_matrix
from diffusionrig.render.physical import render_buffers
from diffusionrig.render.shading import sh_basis, shade

LIGHT = torch.tensor([[2.9, 2.9, 2.9], [0.2, 0.1, 0.1], [0.2, 0.2, 0.25], [0.3, 0.3, 0.3], *[[0.05] * 3] * 5])[None]


def upright(encoder: FitEncoder) -> Pose:
    """The mean head looking ahead."""
    return Pose(torch.eye(3, dtype=torch.float64)[None], torch.tensor([6.0], dtype=torch.float64),
                torch.zeros(1, 2, dtype=torch.float64), torch.zeros(1, len(encoder.model.basis), dtype=torch.float64))


def loose_start(pose: Pose, encoder: FitEncoder, strength: float) -> stage.LandmarkPosterior:
    count = N_RIGID + encoder.model.parts["eyes"].stop
    return stage.LandmarkPosterior(pose, torch.zeros(1, count, dtype=torch.float64),
                                   strength * torch.eye(count, dtype=torch.float64)[None])


def test_shading_gradient_is_the_derivative_of_the_shading() -> None:
    normals = torch.nn.functional.normalize(torch.randn(1, 20, 3, generator=torch.Generator().manual_seed(0),
                                                        dtype=torch.float64), dim=-1).requires_grad_()
    light = LIGHT.double()
    shading = sh_basis(normals) @ light
    slope = stage.shading_gradient(normals, light)
    for colour in range(3):
        automatic, = torch.autograd.grad(shading[..., colour].sum(), normals, retain_graph=True)
        torch.testing.assert_close(slope[..., colour], automatic)
    plane = shade(normals.detach().transpose(1, 2)[..., None], light)[..., 0].transpose(1, 2)
    torch.testing.assert_close(shading.detach(), plane)


def test_gradient_agrees_with_finite_differences(encoder: FitEncoder) -> None:
    # A picture of slow ramps, whose derivative bilinear sampling gives exactly.
    steps = (torch.arange(VIEW) + 0.5) * 2 / VIEW - 1
    down, across = torch.meshgrid(steps, steps, indexing="ij")
    slopes = torch.tensor([[0.3, -0.2, 0.1], [0.15, 0.2, -0.25]])
    colour = 0.5 + across * slopes[0, :, None, None] + down * slopes[1, :, None, None]
    view = torch.cat([colour, *(slope[:, None, None].expand(3, VIEW, VIEW) for slope in slopes),
                      torch.ones(1, VIEW, VIEW)])[None]
    pose, light = upright(encoder), LIGHT.clone()
    looks = stage.Appearance(light, torch.zeros(1, encoder.surface.albedo_basis.shape[0]))
    start, prior = loose_start(pose, encoder, 1e-6), LightPrior(light[0], 1e-6 * torch.eye(27))
    weight = torch.ones(1, encoder.surface.albedo.shape[0])
    noise = ColourNoise(torch.ones(1), torch.full((1,), 1e3))
    free = torch.full_like(encoder.model.lower, -float("inf"))

    def cost(step: torch.Tensor) -> float:
        moved = step_pose(pose, step, free, -free)
        return float(stage._evaluate(encoder.head, encoder.model, encoder.surface, view, weight, moved, looks, start, prior,
                                     noise)[0])

    _, (_, gradient) = stage._evaluate(encoder.head, encoder.model, encoder.surface, view, weight, pose, looks, start, prior, noise)
    jaw = N_RIGID + encoder.model.parts["expression"].start + encoder.head.expression_names.index("jawOpen")
    smile = N_RIGID + encoder.model.parts["expression"].start + encoder.head.expression_names.index("mouthSmileLeft")
    for parameter, size in [(0, 0.01), (1, 0.01), (2, 0.01), (3, 0.005), (4, 0.01), (5, 0.01), (N_RIGID, 0.05), (N_RIGID + 3, 0.05),
                            (jaw, 0.02), (smile, 0.02)]:
        step = torch.zeros(1, N_RIGID + len(encoder.model.basis), dtype=torch.float64)
        step[0, parameter] = size
        numeric = (cost(step) - cost(-step)) / (2 * size)
        assert 2 * float(gradient[0, parameter]) == pytest.approx(numeric, rel=0.05, abs=0.02), parameter


def test_a_small_turn_and_a_raised_brow_are_found(encoder: FitEncoder) -> None:
    head = encoder.head
    brow = head.expression_names.index("browInnerUp")
    code = neutral_code(head, 1, torch.zeros(()))
    code.light[:] = LIGHT
    code.pose[:, :3] = torch.tensor([[0.02, 0.05, 0.0]])
    code.expression[:, brow] = 0.6
    code.camera[:] = torch.tensor([[6.0, 0.0, 0.03]])
    buffers = render_buffers(head, code, 224)
    picture = ((buffers.rendered + 0.5 * (1 - buffers.alpha))[0].clamp(0, 1) * 255).byte().permute(1, 2, 0).numpy()

    truth = upright(encoder)
    truth = Pose(axis_angle_to_matrix(code.pose[:, :3].double()), truth.scale, truth.shift, truth.coefficients.clone())
    truth.coefficients[:, encoder.model.parts["expression"].start + brow] = 0.6
    # Shift under which the solver's pose puts the surface where the camera does.
    placed, _ = stage.samples_of(head, code, encoder.surface.face, encoder.surface.barycentric)
    turned, _, _ = stage.place_samples(head, encoder.model, encoder.surface, truth)
    truth.shift[:] = (6.0 * (placed[..., :2] + code.camera[:, None, 1:] - turned[..., :2])).mean(1)
    wrong = Pose(torch.eye(3, dtype=torch.float64)[None], truth.scale, truth.shift, torch.zeros_like(truth.coefficients))
    pose, looks, error = encoder.fit_colours([picture], code.crop, loose_start(wrong, encoder, 3.0))
    between = pose.rotation[0].T @ truth.rotation[0]
    assert torch.rad2deg(torch.arccos(((between.trace() - 1) / 2).clamp(-1, 1))) < 1.5
    # Half of it and more: the start pulls towards a relaxed face, and what skin may show beyond its model paints part of a brow.
    assert 0.3 < float(pose.coefficients[0, encoder.model.parts["expression"].start + brow]) < 0.8
    assert error < 0.03
    front = torch.tensor([[[0.0, 0.0, 1.0], [0.5, 0.0, 0.866], [-0.5, 0.0, 0.866], [0.0, 0.5, 0.866]]])
    shaded, wanted = sh_basis(front) @ looks.light, sh_basis(front) @ LIGHT
    assert ((shaded - wanted).norm() / wanted.norm()) < 0.1
