import numpy as np
import pytest

from diffusionrig.errors import RigError
from diffusionrig.frechet import frechet_distance
from diffusionrig.io.images import write_png
from diffusionrig.reactions.metrics.realism import RandomConvolutions, pictures_in


def test_the_distance_between_normal_clouds_has_a_closed_form():
    """Diagonal covariances: |m|^2 + sum (s - t)^2. The clouds are made to have their moments exactly."""
    random = np.random.default_rng(0)
    spread, other, shift = np.array([1.0, 2.0, 0.5]), np.array([0.2, 1.0, 3.0]), np.array([1.0, -2.0, 0.0])
    base = random.standard_normal((50, 3))
    base -= base.mean(0)
    base = base @ np.linalg.inv(np.linalg.cholesky(np.cov(base.T))).T
    turned = base[::-1]
    wanted = (shift ** 2).sum() + ((spread - other) ** 2).sum()
    assert frechet_distance(base * spread, turned * other + shift) == pytest.approx(wanted)


@pytest.mark.parametrize("count", [6, 300])
def test_it_agrees_with_the_root_of_the_product(count):
    """Against sqrt of the eigenvalues of S_r S_m, for fewer and more pictures than features."""
    random = np.random.default_rng(count)
    first, second = random.standard_normal((count, 12)), random.standard_normal((count + 3, 12)) @ random.standard_normal((12, 12))
    values = np.linalg.eigvals(np.cov(first.T) @ np.cov(second.T))
    wanted = (np.square(first.mean(0) - second.mean(0)).sum() + np.trace(np.cov(first.T) + np.cov(second.T))
              - 2 * np.sqrt(np.maximum(values.real, 0)).sum())
    assert frechet_distance(first, second) == pytest.approx(wanted, rel=1e-5)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-9)


def test_too_few_or_unlike_features_are_refused():
    with pytest.raises(RigError, match="at least two finite rows"):
        frechet_distance(np.zeros((1, 3)), np.zeros((5, 3)))
    with pytest.raises(RigError, match="same network"):
        frechet_distance(np.zeros((4, 3)), np.zeros((5, 2)))


def test_the_shipped_features_are_fixed_and_see_blur():
    random = np.random.default_rng(0)
    sharp = random.integers(0, 256, (4, 64, 64, 3), np.uint8)
    wide = sharp.astype(int)
    soft = ((wide + np.roll(wide, 1, 1) + np.roll(wide, 1, 2) + np.roll(wide, (1, 1), (1, 2))) // 4).astype(np.uint8)
    network = RandomConvolutions()
    found = network(sharp)
    assert found.shape == (4, network.size)
    np.testing.assert_array_equal(found, RandomConvolutions()(sharp))
    assert frechet_distance(found, network(soft)) > 10 * frechet_distance(found[:2], found[2:])


def test_every_nth_frame_of_every_clip_counts_by_number(tmp_path):
    for clip in ("a", "b"):
        (tmp_path / clip).mkdir()
        for number in range(1, 12):
            write_png(tmp_path / clip / f"{number}.png", np.zeros((2, 2, 3), np.uint8))
    assert [f"{path.parent.name}{path.stem}" for path in pictures_in(tmp_path, 5)] == ["a1", "a6", "a11", "b1", "b6", "b11"]
