import numpy as np
import pytest
import torch

from diffusionrig.frechet import frechet_distance
from diffusionrig.texture_distance import texture_distance, texture_statistics


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("rows", "columns"), [(60, 5), (6, 40)])
def test_the_distance_is_its_formula(rows, columns):
    first, second = normal(rows, columns), normal(rows, columns, seed=1) * 1.5 + 0.3
    first, second = first.numpy(), second.numpy()
    a, b = first, second
    spread_a, spread_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    # tr (Ca Cb)^(1/2) by eigenvalues, which are those of a product of two covariances: real and not negative.
    shared = np.sqrt(np.linalg.eigvals(spread_a @ spread_b).real.clip(0)).sum()
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(spread_a) + np.trace(spread_b) - 2 * shared
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-5)
    assert frechet_distance(first, second) == pytest.approx(frechet_distance(second, first), rel=1e-9)


def test_the_distance_of_shifted_rows_is_the_square_of_the_shift():
    rows = normal(9, 4).numpy()
    assert frechet_distance(rows, rows) == pytest.approx(0, abs=1e-12)
    assert frechet_distance(rows, rows + 0.5) == pytest.approx(4 * 0.25, rel=1e-9)
    assert frechet_distance(rows, rows[::-1]) == pytest.approx(0, abs=1e-12)


def test_statistics_of_a_flat_picture():
    flat = torch.full((1, 3, 16, 16), 0.25)
    statistics = texture_statistics(flat)
    assert statistics.shape == (1, 102)
    torch.testing.assert_close(statistics[0, :6], torch.tensor([0.25, 0.25, 0.25, 0.0, 0.0, 0.0]))
    # No filter passes a flat picture: the floor of two grey levels is what is left.
    torch.testing.assert_close(statistics[0, 6:], torch.full((96,), float(np.log(2 / 255) / np.sqrt(24))), rtol=1e-4, atol=0)


def test_more_damage_is_a_greater_distance():
    grid = torch.linspace(0, 12, 32)
    waves = [torch.sin(grid * (1 + 0.3 * i))[:, None] * torch.cos(grid * (0.5 + 0.2 * i))[None] for i in range(6)]
    pictures = torch.stack([torch.stack([wave, wave.T, wave * 0.5]) for wave in waves]).mul(0.3).add(0.5)
    noise = torch.randn(pictures.shape, generator=torch.Generator().manual_seed(3))
    for damage in (lambda degree: pictures + noise * 0.01 * degree, lambda degree: pictures + 0.02 * degree,
                   lambda degree: pictures * (1 - 0.1 * degree)):
        distances = [texture_distance(damage(degree), pictures) for degree in (0, 1, 2, 4)]
        assert distances[0] == pytest.approx(0, abs=1e-9)
        assert distances == sorted(distances)
        assert distances[1] > 1e-5
