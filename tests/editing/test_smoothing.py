import math

import numpy as np
import pytest

from diffusionrig.editing.smoothing import Smoothing, one_euro
from diffusionrig.errors import UsageError


def by_hand(values: list[float], fps: float, cutoff: float, beta: float, speed_cutoff: float) -> list[float]:
    """The algorithm of the paper, number by number."""
    def alpha(cut: float) -> float:
        return 1 / (1 + (1 / (2 * math.pi * cut)) * fps)

    result, speed = [values[0]], 0.0
    for value in values[1:]:
        change = (value - result[-1]) * fps
        speed = alpha(speed_cutoff) * change + (1 - alpha(speed_cutoff)) * speed
        share = alpha(cutoff + beta * abs(speed))
        result.append(share * value + (1 - share) * result[-1])
    return result


@pytest.mark.parametrize(("cutoff", "beta"), [(1.5, 0.0), (1.5, 1.0), (0.3, 0.05)])
def test_it_is_the_filter_of_the_paper(cutoff, beta):
    signals = np.random.default_rng(0).normal(size=(20, 3)).cumsum(0)
    filtered = one_euro(signals, 25, Smoothing(cutoff, beta, 1.0))
    for column in range(3):
        assert filtered[:, column].tolist() == pytest.approx(by_hand(signals[:, column].tolist(), 25, cutoff, beta, 1.0), abs=1e-12)


def test_golden_values_of_a_step():
    # cutoff 1 Hz at 2 pi frames a second: r = 1, so each frame goes half of the way.
    step = np.array([[0.0], [1.0], [1.0], [1.0]])
    assert one_euro(step, 2 * math.pi, Smoothing(1.0, 0.0))[:, 0].tolist() == pytest.approx([0, 0.5, 0.75, 0.875])


def test_zero_leaves_the_signal_alone_and_the_input_is_not_changed():
    signal = np.random.default_rng(1).normal(size=(6, 2))
    kept = signal.copy()
    assert np.array_equal(one_euro(signal, 25, Smoothing()), signal)
    one_euro(signal, 25, Smoothing(1.0))
    assert np.array_equal(signal, kept)


def test_it_is_steady_at_rest_quick_in_motion_and_causal():
    rng = np.random.default_rng(2)
    rest = 0.01 * rng.normal(size=(200, 1))
    assert one_euro(rest, 25, Smoothing(1.0, 1.0))[20:].std() < 0.5 * rest.std()
    ramp = np.arange(50.0)[:, None] / 5
    slow, quick = (one_euro(ramp, 25, Smoothing(1.0, beta))[-1, 0] for beta in (0.0, 2.0))
    assert ramp[-1, 0] - quick < 0.3 * (ramp[-1, 0] - slow)
    later = rest.copy()
    later[100:] += 1
    assert np.array_equal(one_euro(later, 25, Smoothing(1.0))[:100], one_euro(rest, 25, Smoothing(1.0))[:100])


@pytest.mark.parametrize("values", [(-1.0, 1.0, 1.0), (1.0, math.nan, 1.0), (1.0, 1.0, 0.0)])
def test_numbers_that_make_no_filter_are_refused(values):
    with pytest.raises(UsageError, match="Smoothing takes finite numbers"):
        Smoothing(*values)
