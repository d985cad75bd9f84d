"""Official mode against slow evaluations of the definitions: plain loops, one pair, one lag, one channel at a time."""

import math

import numpy as np
import pytest

from diffusionrig.reactions.metrics import concordance, distance, diversity, synchrony
from diffusionrig.reactions.metrics.warping import warp


def plain_dtw(x, y):
    table = np.full((len(x) + 1, len(y) + 1), np.inf)
    table[0, 0] = 0.0
    for i in range(len(x)):
        for j in range(len(y)):
            cost = sum((float(a) - float(b)) ** 2 for a, b in zip(x[i], y[j]))
            table[i + 1, j + 1] = cost + min(table[i, j], table[i, j + 1], table[i + 1, j])
    return math.sqrt(table[-1, -1])


def plain_ccc(x, y):
    total = 0.0
    for c in range(x.shape[1]):
        a, b = x[:, c].astype(np.float64), y[:, c].astype(np.float64)
        mean_a, mean_b = np.float32(a.mean()), np.float32(b.mean())
        var_a, var_b = np.float32(a.var()), np.float32(b.var())
        with np.errstate(invalid="ignore", divide="ignore"):
            r = np.cov(a, b)[0, 1] / (a.std(ddof=1) * b.std(ddof=1))
        r = min(max(0.0 if math.isnan(r) else r, -1.0), 1.0)
        total += 2 * r * float(np.float32(a.std())) * float(np.float32(b.std())) / float(
            var_a + var_b + (mean_a - mean_b) ** 2 + np.float32(1e-8))
    return total / x.shape[1]


def plain_offset(p, s):
    """The published offset: 49 less the place of the first maximum, where NaN counts as the greatest."""
    scores = []
    for lag in range(-49, 50):
        a, b = (p[lag:], s[:len(s) - lag]) if lag > 0 else (p[:len(p) + lag], s[-lag:])
        r = []
        for c in range(p.shape[1]):
            u, v = a[:, c].astype(np.float64), b[:, c].astype(np.float64)
            u, v = u - u.mean(), v - v.mean()
            norm = math.sqrt((u @ u) * (v @ v))
            r.append(np.float32((u @ v) / norm) if norm > 0 else np.float32("nan"))
        scores.append(np.mean(np.array(r, np.float32)))
    scores = np.array(scores)
    return 49 - int(np.argmax(np.isnan(scores)) if np.isnan(scores).any() else np.argmax(scores))


@pytest.fixture(scope="module")
def clips():
    """Predictions (4, 3, T, 25), listeners, speakers (4, T, 25), neighbours; one channel of an item stands still in the middle."""
    random = np.random.default_rng(5)
    frames = 90

    def moving(*shape):
        steps = random.standard_normal((*shape, frames, 25)).cumsum(-2)
        return (0.5 + 0.1 * steps / steps.std(-2, keepdims=True)).astype(np.float32)

    predictions, listeners, speakers = moving(4, 3), moving(4), moving(4)
    predictions[1, 0, 20:, 3] = 0.1
    predictions[2, 1, :, 4] = 0.3
    listeners[3, :, 7] = 0.7
    speakers[3, :60, 20] = 0.0
    predictions[3, 2] = listeners[3]
    return predictions, listeners, speakers, [np.array(ids) for ids in ([0, 1, 2], [0, 1], [0, 2], [3])]


def test_frcorr_is_the_sum_over_samples_of_the_greatest_concordance(clips):
    predictions, listeners, _, neighbours = clips
    wanted = [sum(max(plain_ccc(listeners[j], p) for j in neighbours[n]) for p in predictions[n]) for n in range(4)]
    found = concordance.frcorr(predictions, listeners, neighbours, "official")
    np.testing.assert_allclose(found.items, wanted, rtol=0, atol=1e-6)
    assert found.value == pytest.approx(np.mean(wanted), abs=1e-6)


def test_frdist_is_the_sum_over_samples_of_the_least_weighted_warping(clips):
    predictions, listeners, _, neighbours = (clips[0][:, :2, :24], clips[1][:, :24], None, clips[3])

    def d(p, y):
        return plain_dtw(p[:, :15], y[:, :15]) / 15 + plain_dtw(p[:, 15:17], y[:, 15:17]) + plain_dtw(p[:, 17:], y[:, 17:]) / 8

    wanted = [sum(min(d(p, listeners[j]) for j in neighbours[n]) for p in predictions[n]) for n in range(4)]
    found = distance.frdist(predictions, listeners, neighbours, "official", warp)
    np.testing.assert_allclose(found.items, wanted, rtol=0, atol=1e-9)


def test_frsyn_has_the_published_offsets(clips):
    predictions, _, speakers, _ = clips
    wanted = [abs(plain_offset(predictions[n, 0], speakers[n])) for n in range(4)]
    found = synchrony.frsyn(predictions, speakers, "official")
    np.testing.assert_array_equal(found.items, wanted)
    assert found.items[1] != found.items[0]  # a channel at rest in some windows gives the first of their lags
    assert found.details["degenerate_share"] == 0.5


def test_the_first_sample_alone_counts_in_official_synchrony(clips):
    predictions, _, speakers, _ = clips
    changed = predictions.copy()
    changed[:, 1:] = np.random.default_rng(0).random(changed[:, 1:].shape)
    official = [synchrony.frsyn(made, speakers, "official").items for made in (predictions, changed)]
    np.testing.assert_array_equal(*official)
    assert synchrony.frsyn(changed, speakers, "fixed").value != synchrony.frsyn(predictions, speakers, "fixed").value


def test_diversities_are_means_over_pairs(clips):
    predictions = clips[0].astype(np.float64)
    n, k, t, d = predictions.shape
    among = [sum(((predictions[i, a] - predictions[i, b]) ** 2).sum() for a in range(k) for b in range(k)) / (k * (k - 1) * t * d)
             for i in range(n)]
    across = sum(((predictions[i, a] - predictions[j, a]) ** 2).sum() for a in range(k) for i in range(n) for j in range(n))
    np.testing.assert_allclose(diversity.frdiv(clips[0], "official").items, among, rtol=1e-12)
    assert diversity.frdvs(clips[0], "official").value == pytest.approx(across / (n * (n - 1) * k * t * d), rel=1e-12)
    assert diversity.frvar(clips[0], "official").value == pytest.approx(predictions.var(2, ddof=1).mean(), rel=1e-12)


def test_one_sample_has_no_diversity(clips):
    assert diversity.frdiv(clips[0][:, :1], "official").value == 0
    assert math.isnan(diversity.frdiv(clips[0][:, :1], "fixed").value)
