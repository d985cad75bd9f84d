"""Smoothing in both directions, without lag: steady where a signal rests, as it was measured where it moves quickly.

The smoothed signal x of measurements y minimises, column by column,

    sum_t w_t (x_t - y_t)^2 + lambda sum_t rho(x_(t-1) - 2 x_t + x_(t+1))

(Whittaker 1923), which is the Kalman smoother of a motion at constant speed. lambda says from which frequency on a resting signal
is flattened. rho grows like a square for accelerations as small as the noise explains, and no faster than a logarithm beyond
(Student's t, solved by reweighting), so that a blink or a turn of the head stays what it was. How large the noise is, is learned
from the signal: third differences are nearly nothing of a movement, and twenty times the variance of white noise.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray

CUTOFF = 2.5
"""Hertz at which half of a resting signal's amplitude passes."""

LOOSE = 3.0
"""Accelerations, in standard deviations of what noise of that size leaves, from which on the penalty bends."""

ROUNDS = 5
LOWEST, LOWEST_MEAN = 0.75, 0.368
"""Share of the smallest squares that noise is learned from, movements being among the others, and their mean for a unit normal."""

UNSEEN = 1e-6
"""Weight of a row that was not measured, beside 1."""

LEAST = 1e-5
"""Standard deviation below which no noise is taken to be, in the units of the signal."""


def steadied(values: Array, seen: Array, fps: float, cutoff: float = CUTOFF) -> Array:
    """(T, D) at ``fps`` frames a second -> (T, D) float64. ``seen`` (T,) bool: rows that were measured; the others are crossed as
    smoothly as they can be, with none of their own. Fewer than four measured rows come back joined by lines."""
    signal, seen = np.asarray(values, np.float64), np.asarray(seen, bool)
    numbers, places = np.arange(len(signal)), np.flatnonzero(seen)
    filled = np.stack([np.interp(numbers, places, column[seen]) for column in signal.T], 1) if len(places) else signal.copy()
    if len(places) < 4 or cutoff <= 0:
        return filled
    noise = noise_variance(filled, seen)
    strength = 1 / (2 * np.sin(min(np.pi * cutoff / fps, np.pi / 2))) ** 4
    bend = LOOSE**2 * np.maximum(noise / strength, LEAST**2)
    # Where next to nothing holds a row that was not measured, it lies on the line between those that were.
    weight = np.where(seen, 1.0, UNSEEN)[:, None]
    smooth = filled
    hold = np.ones((len(signal) - 2, signal.shape[1]))
    for _ in range(ROUNDS):
        smooth = _solved(weight, strength * hold, weight * filled)
        hold = 1 / (1 + np.diff(smooth, 2, axis=0) ** 2 / bend)
    return smooth


def noise_variance(values: Array, seen: Array) -> Array:
    """(D,) variance of the white noise in (T, D) values, from third differences over measured rows alone."""
    whole = seen[3:] & seen[2:-1] & seen[1:-2] & seen[:-3]
    change = np.diff(values, 3, axis=0)[whole]
    if not len(change):
        return np.zeros(values.shape[1])
    square = np.sort(change**2, axis=0)[:max(1, int(np.ceil(LOWEST * len(change))))]
    return square.mean(0) / LOWEST_MEAN / 20


def _solved(weight: Array, hold: Array, right: Array) -> Array:
    """x of (diag(weight) + D' diag(hold) D) x = right, D the second differences: LDL' of a matrix with five diagonals, all D
    columns at once. weight (T, 1), hold (T - 2, D), right (T, D)."""
    count = len(right)
    main = np.repeat(weight, right.shape[1], 1)
    main[:-2] += hold
    main[1:-1] += 4 * hold
    main[2:] += hold
    first, second = np.zeros_like(right), np.zeros_like(right)
    first[:-2] -= 2 * hold
    first[1:-1] -= 2 * hold
    second[:-2] += hold
    # main[t], first[t] (t, t + 1) and second[t] (t, t + 2) become the pivots and the factors below them.
    x = right.copy()
    for t in range(count - 1):
        below, farther = first[t] / main[t], second[t] / main[t]
        main[t + 1] -= below * first[t]
        first[t + 1] -= below * second[t]
        x[t + 1] -= below * x[t]
        if t + 2 < count:
            main[t + 2] -= farther * second[t]
            x[t + 2] -= farther * x[t]
        first[t], second[t] = below, farther
    x /= main
    for t in range(count - 2, -1, -1):
        x[t] -= first[t] * x[t + 1]
        if t + 2 < count:
            x[t] -= second[t] * x[t + 2]
    return x
