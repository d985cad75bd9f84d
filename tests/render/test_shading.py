import math

import pytest
import torch

from diffusionrig.render.shading import BAND_CONSTANTS, sh_basis, shade
from diffusionrig.render.texture import sample_texture, texture_plane


def sphere_points(count: int) -> torch.Tensor:
    """Fibonacci sphere (count, 3): evenly spread, so that means over it approximate integrals."""
    z = 1 - (2 * torch.arange(count, dtype=torch.float64) + 1) / count
    phi = torch.arange(count, dtype=torch.float64) * math.pi * (3 - 5 ** 0.5)
    return torch.stack([(1 - z * z).sqrt() * phi.cos(), (1 - z * z).sqrt() * phi.sin(), z], -1)


def test_constants_of_the_published_renderer():
    expected = [0.2820947918, 1.0233267079, 1.0233267079, 1.0233267079, 0.8580855308, 0.8580855308, 0.8580855308,
                0.4290427654, 0.2477079561]
    assert pytest.approx(expected, abs=5e-11) == list(BAND_CONSTANTS)


def test_check_value_of_a_normal_facing_the_viewer():
    normals = torch.tensor([0.0, 0, 1]).view(1, 3, 1, 1)
    shading = shade(normals, torch.ones(1, 9, 3))
    torch.testing.assert_close(shading, torch.full((1, 3, 1, 1), 1.8008374), rtol=0, atol=5e-7)


def test_shade_is_the_basis_times_the_light_also_for_normals_not_of_unit_length():
    generator = torch.Generator().manual_seed(0)
    normals = torch.randn(2, 3, 5, 4, generator=generator, dtype=torch.float64)
    light = torch.randn(2, 9, 3, generator=generator, dtype=torch.float64)
    expected = torch.einsum("bhwk,bkc->bchw", sh_basis(normals.movedim(1, -1)), light)
    torch.testing.assert_close(shade(normals, light), expected)


def test_bands_are_orthogonal_over_the_sphere():
    basis = sh_basis(sphere_points(20000))
    gram = basis.T @ basis / len(basis)
    torch.testing.assert_close(gram, torch.diag(gram.diagonal()), rtol=0, atol=2e-4)


def test_bands_are_a_matte_surface_under_distant_light():
    """Light that is itself a harmonic of unit norm: its irradiance is that harmonic times pi, 2 pi / 3 or pi / 4."""
    directions = sphere_points(40000)
    attenuation = [1.0, *[2 * math.pi / 3] * 3, *[math.pi / 4] * 5]  # the constant band without its pi, as published
    for normal in sphere_points(7):
        cosine = (directions @ normal).clamp_min(0)
        for band, factor in enumerate(attenuation):
            radiance = sh_basis(directions)[:, band] / factor
            irradiance = (radiance * cosine).mean() * 4 * math.pi
            expected = sh_basis(normal)[band] * (math.pi if band == 0 else 1)
            torch.testing.assert_close(irradiance, expected, rtol=0, atol=2e-3)


def test_turning_light_and_normals_together_changes_nothing_for_first_order_light():
    generator = torch.Generator().manual_seed(1)
    normals = torch.nn.functional.normalize(torch.randn(1, 3, 4, 4, generator=generator, dtype=torch.float64), dim=1)
    turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))
    light = torch.zeros(1, 9, 3, dtype=torch.float64)
    light[:, :4] = torch.randn(1, 4, 3, generator=generator, dtype=torch.float64)
    turned = light.clone()
    turned[:, 1:4] = turn @ light[:, 1:4]
    torch.testing.assert_close(shade(torch.einsum("ij,bjhw->bihw", turn, normals), turned), shade(normals, light))


def test_texture_plane_has_v_upwards():
    torch.testing.assert_close(texture_plane(torch.tensor([[0.0, 1], [1, 0], [0.5, 0.75]])),
                               torch.tensor([[-1.0, -1], [1, 1], [0, -0.5]]))


def test_texture_is_bilinear_between_texel_centres_and_fades_beyond_the_edge():
    texture = torch.arange(16.0).view(1, 1, 4, 4)
    grid = torch.tensor([[-0.75, -0.75], [0.75, -0.75], [0, 0], [-1, -0.75], [-1.25, -0.75], [3, 3]])
    values = sample_texture(texture + 1, grid.T.view(1, 2, 1, 6)).flatten()
    torch.testing.assert_close(values, torch.tensor([1.0, 4.0, 8.5, 0.5, 0.0, 0.0]))
