"""Light and albedo from exact shading."""

from __future__ import annotations

import torch

from diffusionrig.capture.fit.photometry import ColourNoise, LightPrior, SkinSamples, fit_light_and_albedo
from diffusionrig.randomness import torch_stream
from diffusionrig.render.shading import sh_basis

PIXELS, ALBEDOS = 600, 5


def exact_samples(batch: int) -> tuple[SkinSamples, torch.Tensor, torch.Tensor]:
    stream = torch_stream("tests", "photometry")
    normals = torch.nn.functional.normalize(torch.randn(batch, PIXELS, 3, generator=stream, dtype=torch.float64), dim=-1)
    normals[..., 2] = normals[..., 2].abs()
    bands = sh_basis(normals)
    albedo = 0.4 + 0.3 * torch.rand(batch, PIXELS, 3, generator=stream, dtype=torch.float64)
    basis = 0.05 * torch.randn(ALBEDOS, PIXELS, 3, generator=stream, dtype=torch.float64)
    light = 0.15 * torch.randn(batch, 9, 3, generator=stream, dtype=torch.float64)
    light[:, 0] += 3
    coefficients = torch.randn(batch, ALBEDOS, generator=stream, dtype=torch.float64)
    colour = (albedo + torch.einsum("bk,kpc->bpc", coefficients, basis)) * (bands @ light)
    weight = torch.ones(batch, PIXELS, dtype=torch.float64)
    return SkinSamples(colour, weight, bands, albedo, basis), light, coefficients


def weak_prior() -> LightPrior:
    mean = torch.zeros(9, 3, dtype=torch.float64)
    mean[0] = 2.5
    return LightPrior(mean, 1e-6 * torch.eye(27, dtype=torch.float64))


def noise(samples: SkinSamples, sigma: float, robust: float) -> ColourNoise:
    faces = torch.ones(len(samples.colour), dtype=torch.float64)
    return ColourNoise(sigma * faces, robust * faces)


def test_exact_shading_gives_back_light_and_albedo() -> None:
    samples, light, coefficients = exact_samples(3)
    found, albedo, residual = fit_light_and_albedo(samples, weak_prior(), noise(samples, 1e-4, 100), iterations=12)
    torch.testing.assert_close(found, light, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(albedo, coefficients, atol=1e-5, rtol=1e-5)
    assert residual.max() < 1e-6


def test_highlights_and_hair_are_set_aside() -> None:
    samples, light, _ = exact_samples(3)
    samples.colour[:, ::10] = 1.0
    samples.colour[:, 5::10] = 0.05
    robust, _, _ = fit_light_and_albedo(samples, weak_prior(), noise(samples, 0.02, 0.06), iterations=30)
    plain, _, _ = fit_light_and_albedo(samples, weak_prior(), noise(samples, 0.02, 20000), iterations=30)
    assert (robust - light).abs().mean() < 0.1 * (plain - light).abs().mean()


def test_pixels_without_weight_do_not_count() -> None:
    samples, light, _ = exact_samples(2)
    samples.colour[:, :100] = 7.0
    samples.weight[:, :100] = 0.0
    found, _, _ = fit_light_and_albedo(samples, weak_prior(), noise(samples, 1e-4, 100), iterations=12)
    torch.testing.assert_close(found, light, atol=1e-5, rtol=1e-5)


def test_without_pixels_the_prior_is_the_answer() -> None:
    samples, _, _ = exact_samples(1)
    samples.weight.zero_()
    found, albedo, _ = fit_light_and_albedo(samples, weak_prior(), noise(samples, 0.02, 0.06))
    torch.testing.assert_close(found[0], weak_prior().mean, atol=1e-9, rtol=0)
    assert albedo.abs().max() < 1e-9
