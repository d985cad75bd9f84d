"""Light sampling: the expansion of a directional light, exposure, and the key light."""

from __future__ import annotations

import numpy as np
import torch

from diffusionrig.data.synthetic.lighting import basis, directional, sample_light
from diffusionrig.render.shading import shade


def _sphere(count: int = 4000) -> np.ndarray:
    points = np.random.default_rng(0).standard_normal((count, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def test_a_directional_light_is_the_clamped_cosine_up_to_second_order() -> None:
    normals, direction = _sphere(), np.array([0.3, 0.5, 0.8]) / np.linalg.norm([0.3, 0.5, 0.8])
    exact = np.maximum(0, normals @ direction)
    expanded = basis(normals) @ directional(direction, 0.0)
    assert np.abs(expanded - exact).max() < 0.1
    # The expansion is a projection: what is left is orthogonal to every band.
    assert np.abs(basis(normals).T @ (exact - expanded)).max() / len(normals) < 0.01
    wide = basis(normals) @ directional(direction, 1.0)
    assert wide.std() < expanded.std()
    assert abs(wide.mean() - expanded.mean()) < 0.01


def test_basis_is_that_of_the_renderer() -> None:
    normals = _sphere(50)
    light = np.random.default_rng(1).standard_normal((9, 3))
    image = shade(torch.from_numpy(normals.T.reshape(1, 3, 5, 10)), torch.from_numpy(light)[None])
    assert np.allclose(image[0].reshape(3, -1).numpy().T, basis(normals) @ light)


def test_exposure_of_the_visible_face() -> None:
    normals = _sphere()
    normals = normals[normals[:, 2] > 0.45]
    rng = np.random.default_rng(2)
    lights = [sample_light(rng) for _ in range(200)]
    shading = np.stack([(basis(normals) @ light).mean(1) for light in lights])
    assert 0.9 < np.median(shading) < 1.15
    assert np.quantile(shading, 0.05) > 0.3
    assert np.quantile(shading, 0.95) < 1.45
    assert np.mean(shading.std(1)) > 0.1
    assert all(light.dtype == np.float32 and light.shape == (9, 3) for light in lights)
    # Dark skin is exposed longer, but not until it looks light.
    light, dark = (np.median([(basis(normals) @ sample_light(np.random.default_rng(seed), tone)).mean()
                              for seed in range(30)]) for tone in (0.7, 0.3))
    assert 1.1 < dark / light < 0.7 / 0.3
