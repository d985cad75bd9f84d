"""Answers known in closed form, in both modes."""

import numpy as np
import pytest

from diffusionrig.reactions.metrics.evaluation import evaluate
from diffusionrig.reactions.metrics.truth import Truth


def score_all(predictions, truth, mode, *names):
    return {one.name: one for one in evaluate(predictions, truth, [mode], names)}


@pytest.fixture(scope="module")
def truth():
    """Four directed items of 130 frames that move in every channel but two of the first listener, which stand still."""
    random = np.random.default_rng(3)
    steps = random.standard_normal((4, 130, 25)).cumsum(1)
    shown = (0.4 + 0.1 * steps / steps.std(1, keepdims=True)).astype(np.float32)
    shown[2, :, [3, 9]] = 0.1  # the speaker of item 2 is the listener of item 0
    speakers = shown
    return Truth(speakers, speakers[[2, 3, 0, 1]], [np.array(ids) for ids in ([0, 1], [0, 1], [2], [3])], "test")


def test_the_truth_is_perfect(truth):
    perfect = np.repeat(truth.listeners[:, None], 3, 1)
    official = score_all(perfect, truth, "official", "FRCorr", "FRDist", "FRDiv")
    fixed = score_all(perfect, truth, "fixed", "FRCorr", "FRDist")
    # 2 of 25 channels of the first listener are constant and count 0.
    np.testing.assert_allclose(official["FRCorr"].items, [3 * 23 / 25, 3, 3, 3], atol=1e-5)
    assert fixed["FRCorr"].value == pytest.approx(1, abs=1e-12)
    assert official["FRDist"].value == fixed["FRDist"].value == 0
    assert official["FRDiv"].value == pytest.approx(0, abs=1e-20)


def test_official_figures_are_sums_over_samples(truth):
    made = np.random.default_rng(0).random((4, 3, 130, 25), np.float32)
    official, fixed = (score_all(made, truth, mode, "FRDist")["FRDist"].value for mode in ("official", "fixed"))
    assert official == pytest.approx(3 * fixed)


def test_uniform_noise_has_the_published_figures(truth):
    noise = np.random.default_rng(0).random((4, 6, 130, 25), np.float32)
    found = score_all(noise, truth, "official", "FRDiv", "FRDvs", "FRVar")
    assert found["FRDiv"].value == pytest.approx(1 / 6, rel=0.02)
    assert found["FRDvs"].value == pytest.approx(1 / 6, rel=0.02)
    assert found["FRVar"].value == pytest.approx(1 / 12, rel=0.02)


@pytest.mark.parametrize("mode", ["official", "fixed"])
def test_one_frame_everywhere_scores_nothing(truth, mode):
    flat = np.full((4, 2, 130, 25), 0.3, np.float32)
    found = score_all(flat, truth, mode, "FRCorr", "FRDiv", "FRDvs", "FRVar", "FRSyn")
    assert [found[name].value for name in ("FRCorr", "FRDiv", "FRDvs", "FRVar")] == [0, 0, 0, 0]
    assert found["FRSyn"].details["degenerate_share"] == 1
    if mode == "official":
        assert found["FRSyn"].value == 49
    else:
        assert found["FRSyn"].undefined == 4


@pytest.mark.parametrize("lag", [0, 7, 18, -30])
def test_a_shifted_speaker_gives_its_lag_back(truth, lag):
    shifted = np.roll(truth.speakers, lag, axis=1)
    # What rolled in from the other end is no part of the comparison at the true lag; make it move, so that no window stands still.
    found = score_all(np.repeat(shifted[:, None], 2, 1), truth, "fixed", "FRSyn")["FRSyn"]
    assert found.value == abs(lag)
    assert found.details["signed_lag"] == lag
    official = score_all(shifted[[0, 1, 3], None], Truth(truth.speakers[[0, 1, 3]], truth.listeners, [], ""), "official", "FRSyn")
    assert official["FRSyn"].value == abs(lag)


def test_one_channel_at_rest_degrades_the_official_lag_only(truth):
    shifted = np.roll(truth.speakers, 5, axis=1)[:, None].copy()
    shifted[..., 12] = 0.25
    assert score_all(shifted, truth, "official", "FRSyn")["FRSyn"].value == 49
    assert score_all(shifted, truth, "fixed", "FRSyn")["FRSyn"].value == 5


def test_mixing_up_the_clips_is_seen_by_appropriateness_and_not_by_diversity(truth):
    made = np.repeat(truth.listeners[:, None], 2, 1)
    made = made + 0.02 * np.random.default_rng(1).standard_normal(made.shape).astype(np.float32)
    right = score_all(made, truth, "official", "FRCorr", "FRDiv", "FRDvs", "FRVar")
    wrong = score_all(made[[3, 2, 1, 0]], truth, "official", "FRCorr", "FRDiv", "FRDvs", "FRVar")
    for name in ("FRDiv", "FRDvs", "FRVar"):
        assert right[name].value == pytest.approx(wrong[name].value)
    assert wrong["FRCorr"].value < 0.5 * right["FRCorr"].value


def test_a_window_far_quieter_than_its_series_keeps_its_correlation():
    """Sums over a window lose what is 1e-16 of the whole series; such windows are taken again from their own mean."""
    from diffusionrig.reactions.metrics.synchrony import lag_scores

    random = np.random.default_rng(2)
    quiet = 1e-5 * random.standard_normal(100)
    speaker, made = quiet.copy(), np.roll(quiet, 3)
    speaker[97:] += 1e3
    made[:2] -= 1e3
    p, s = made[None, :, None], speaker[:, None]
    found = lag_scores(p, s, skip_constant=True)[0]
    for lag in (3, 10):
        assert found[49 + lag] == pytest.approx(np.corrcoef(made[lag:], speaker[:-lag])[0, 1], abs=1e-6)
