"""Sound at another rate, by a windowed sinc."""

from __future__ import annotations

import math

import numpy as np

ZEROS = 16
"""Zero crossings of the sinc on either side."""

ROLL_OFF = 0.95
"""Of the lower of the two Nyquist frequencies, where the filter starts to cut."""


def resample(samples: np.ndarray, rate: int, target: int) -> np.ndarray:
    """Samples (n,) at ``rate`` -> (round(n target / rate),) float32 at ``target`` hertz; beyond the ends is silence.

    Output m is the sum over k of x_k c sinc(c (m rate / target - k)) under a Hann window of ZEROS crossings, with c = the roll-off
    times min(1, target / rate): frequencies beyond the new half rate are taken out.
    """
    if rate == target:
        return np.asarray(samples, np.float32)
    common = math.gcd(rate, target)
    up, down = target // common, rate // common
    count = round(len(samples) * target / rate)
    cut = ROLL_OFF * min(1.0, target / rate)
    reach = math.ceil(ZEROS / cut)
    padded = np.concatenate([np.zeros(reach), np.asarray(samples, np.float64), np.zeros(reach + down + 1)])
    result = np.zeros(count)
    # Outputs that lie equally between two inputs share their weights.
    for phase in range(min(up, count)):
        numbers = np.arange(phase, count, up)
        whole, part = divmod(phase * down, up)
        offsets = np.arange(-reach, reach + 2)
        distance = cut * (part / up - offsets)
        weights = cut * np.sinc(distance) * np.where(np.abs(distance) < ZEROS, np.cos(np.pi * distance / (2 * ZEROS)) ** 2, 0.0)
        weights /= weights.sum()
        first = whole + (numbers - phase) // up * down
        keep = first[:, None] + offsets + reach
        result[numbers] = padded[np.minimum(keep, len(padded) - 1)] @ weights
    return result.astype(np.float32)
