"""Smoothing in both directions, gaps, and what frames agree on: numbers alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from diffusionrig.capture.tracking.frame_fit import given
from diffusionrig.capture.tracking.gaps import BRIDGED, HELD, SEEN, runs, shown_instead, states
from diffusionrig.capture.tracking.person import median_row
from diffusionrig.capture.tracking.steadying import noise_variance, steadied


def shaking(values: np.ndarray) -> float:
    return float(np.sqrt((np.diff(values, 2, axis=0) ** 2).mean()))


def test_noise_goes_and_movement_stays() -> None:
    random = np.random.default_rng(1)
    time = np.arange(200) / 25
    # A slow turn, a blink of a fifth of a second, a jump from one level to another.
    truth = np.stack([0.3 * np.sin(2 * np.pi * 0.4 * time), np.maximum(0, 1 - np.abs(time - 4) / 0.1), (time > 4).astype(float)], 1)
    noise = 0.01 * random.standard_normal(truth.shape)
    smooth = steadied(truth + noise, np.ones(200, bool), 25)
    assert shaking((smooth - truth)[:90]) < shaking(noise[:90]) / 6
    assert np.abs(smooth - truth)[:90].max() < 0.02
    assert smooth[100, 1] > 0.9
    assert np.abs(smooth[[98, 99, 102, 103], 2] - [0, 0, 1, 1]).max() < 0.06


def test_smoothing_has_no_lag_and_is_the_same_backwards() -> None:
    values = np.cumsum(np.random.default_rng(2).standard_normal((60, 2)), 0)
    seen = np.ones(60, bool)
    seen[20:24] = False
    np.testing.assert_allclose(steadied(values[::-1], seen[::-1], 25)[::-1], steadied(values, seen, 25), atol=1e-6)


def test_what_stands_still_or_moves_evenly_is_left_alone() -> None:
    values = np.stack([np.full(30, 0.3), np.linspace(0, 1, 30)], 1)
    seen = np.ones(30, bool)
    np.testing.assert_allclose(steadied(values, seen, 25), values, atol=1e-6)
    seen[10:15] = False
    holed = values.copy()
    holed[10:15] = 99
    np.testing.assert_allclose(steadied(holed, seen, 25), values, atol=1e-6)


def test_a_gap_between_two_places_is_crossed_between_them() -> None:
    values = np.repeat([[112.0], [118.0]], [3, 5], 0)
    seen = np.array([True, True, True, False, False, True, True, True])
    smooth = steadied(values, seen, 10)[:, 0]
    assert (np.diff(smooth[2:6]) > 0.5).all()
    assert smooth.min() > 111
    assert smooth.max() < 119


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_frames_come_back_as_they_are(count: int) -> None:
    values = np.random.default_rng(3).standard_normal((count, 2))
    np.testing.assert_array_equal(steadied(values, np.ones(count, bool), 25), values)


def test_the_size_of_the_noise_is_learned_beside_movements() -> None:
    random = np.random.default_rng(4)
    values = 0.02 * random.standard_normal((400, 1)) + np.sin(np.arange(400) / 12)[:, None]
    values[100:103] += 0.8
    assert np.sqrt(noise_variance(values, np.ones(400, bool))[0]) == pytest.approx(0.02, rel=0.2)


def test_short_gaps_are_bridged_long_ones_and_cuts_are_not() -> None:
    found = np.array([0, 1, 0, 0, 1, 0, 0, 0, 0, 1, 1, 1, 0, 1, 0], bool)
    shot = np.array([-1, 0, -1, -1, 0, -1, -1, -1, -1, 0, 0, 1, -1, 1, -1])
    state = states(found, shot, 10)
    assert state.tolist() == [HELD, SEEN, BRIDGED, BRIDGED, SEEN, HELD, HELD, HELD, HELD, SEEN, SEEN, SEEN, BRIDGED, SEEN, HELD]
    assert [(run.start, run.stop) for run in runs(state, shot)] == [(1, 5), (9, 11), (11, 14)]
    assert shown_instead(state).tolist() == [1, 1, 2, 3, 4, 4, 4, 4, 4, 9, 10, 11, 12, 13, 13]
    # Three tenths of a second are nine frames at 30 a second, and no more.
    for gap, wanted in ((9, BRIDGED), (10, HELD)):
        found = np.array([True] + [False] * gap + [True])
        assert (states(found, np.zeros(gap + 2, int), 30)[1:-1] == wanted).all()
    assert states(np.array([True, False, True]), np.array([0, -1, 1]), 30)[1] == HELD


def test_frames_that_disagree_are_outvoted() -> None:
    rows = torch.tensor([[1.0, 1.0], [1.2, 1.0], [1.0, 1.2], [9.0, -9.0]], dtype=torch.float64)
    middle = median_row(rows, torch.ones(4, dtype=torch.float64))
    assert (middle - torch.tensor([1.1, 1.1])).norm() < 0.6
    assert (rows.mean(0) - 1.1).norm() > 3
    torch.testing.assert_close(median_row(rows[:2], torch.tensor([1.0, 3.0], dtype=torch.float64)),
                               torch.tensor([1.15, 1.0], dtype=torch.float64))


def test_a_gaussian_of_which_some_is_known() -> None:
    random = torch.Generator().manual_seed(5)
    root = torch.randn(7, 7, generator=random, dtype=torch.float64)
    covariance = root @ root.T + torch.eye(7)
    gain, precision = given(torch.linalg.inv(covariance), slice(1, 3))
    known, rest = [4, 5], [0, 1, 2, 3, 6]
    wanted = covariance[rest][:, known] @ torch.linalg.inv(covariance[known][:, known])
    torch.testing.assert_close(gain, wanted, atol=1e-6, rtol=1e-6)
    left = covariance[rest][:, rest] - wanted @ covariance[known][:, rest]
    torch.testing.assert_close(torch.linalg.inv(precision), left, atol=1e-6, rtol=1e-6)
