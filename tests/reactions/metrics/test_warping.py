import numpy as np
import pytest

from diffusionrig.reactions.metrics import distance, warping
from diffusionrig.reactions.metrics.warping import warp
from diffusionrig.reactions.metrics.warping_torch import warp_on


def table(x, y):
    """The definition, with a whole table."""
    cost = np.square(x[:, None].astype(np.float64) - y[None]).sum(-1)
    sums = np.full((len(x) + 1, len(y) + 1), np.inf)
    sums[0, 0] = 0
    for i, j in np.ndindex(cost.shape):
        sums[i + 1, j + 1] = cost[i, j] + min(sums[i, j], sums[i, j + 1], sums[i + 1, j])
    return np.sqrt(sums[-1, -1])


@pytest.mark.parametrize("way", [warp, lambda *arguments: warp_on("cpu", *arguments)], ids=["numpy", "torch"])
@pytest.mark.parametrize(("frames", "others", "channels"), [(1, 1, 3), (1, 5, 2), (7, 3, 8), (40, 40, 2), (150, 31, 15)])
def test_it_is_the_least_sum_over_all_paths(way, frames, others, channels):
    random = np.random.default_rng(frames)
    x, y = (random.standard_normal((3, n, channels)).astype(np.float32) for n in (frames, others))
    wanted = np.array([table(a, b) for a, b in zip(x, y)])
    np.testing.assert_allclose(way(x, y), wanted, rtol=1e-13)
    budgets = wanted * [1.0, 0.99, 1.01]
    np.testing.assert_allclose(way(x, y, budgets), [wanted[0], np.inf, wanted[2]], rtol=1e-13)


@pytest.mark.parametrize("way", [warp, lambda *arguments: warp_on("cpu", *arguments)], ids=["numpy", "torch"])
def test_series_that_warping_makes_equal_have_no_distance(way):
    x = np.random.default_rng(0).random((2, 60, 4)).astype(np.float32) * 100
    slower = np.repeat(x, 2, axis=1)
    assert (way(x, slower) == 0).all()


def test_neither_threads_nor_bands_nor_batches_change_a_bit(monkeypatch):
    random = np.random.default_rng(1)
    x, y = random.random((2, 9, 70, 3)).astype(np.float32)
    at_once = warp(x, y)
    np.testing.assert_array_equal(warp(x, y, threads=3), at_once)
    np.testing.assert_allclose([float(warp(a[None], b[None])[0]) for a, b in zip(x, y)], at_once, rtol=1e-14)
    monkeypatch.setattr(warping, "_BAND", 7)
    np.testing.assert_allclose(warp(x, y), at_once, rtol=1e-14)


def test_leaving_neighbours_early_changes_nothing():
    """Against every warping of every neighbour."""
    random = np.random.default_rng(4)
    listeners = random.random((7, 20, 25)).astype(np.float32)
    predictions = (listeners[:5, None] + 0.3 * random.standard_normal((5, 3, 20, 25))).astype(np.float32)
    neighbours = [np.arange(7), np.array([1]), np.array([0, 2]), np.array([1, 3, 6]), np.arange(7)]
    calls = []

    def counted(x, y, budgets):
        calls.append(len(x))
        return warp(x, y, budgets)

    found = distance.frdist(predictions, listeners, neighbours, "official", counted)

    def d(p, y):
        return sum(weight * float(warp(p[None, :, part], y[None, :, part])[0]) for part, weight in distance.GROUPS)

    wanted = [sum(min(d(p, listeners[j]) for j in neighbours[n]) for p in predictions[n]) for n in range(5)]
    np.testing.assert_allclose(found.items, wanted, rtol=1e-12)
    assert sum(calls) < 3 * 3 * sum(map(len, neighbours))
