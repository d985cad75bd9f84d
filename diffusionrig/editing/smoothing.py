"""The one-euro filter: steady where a signal rests, quick where it moves (Casiez, Roussel and Vogel 2012)."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from diffusionrig.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Smoothing:
    """``cutoff`` in hertz at rest; 0 leaves the signal as it is. ``beta`` adds to it, in hertz for each unit per second that the
    signal moves. ``speed_cutoff`` in hertz smooths the speed."""

    cutoff: float = 0.0
    beta: float = 1.0
    speed_cutoff: float = 1.0

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if not math.isfinite(value) or value < 0 or (name == "speed_cutoff" and value == 0):
                raise UsageError(f"Smoothing takes finite numbers of 0 or more, not {value:g} for {name}; try --smooth 1.5.")


class OneEuro:
    """Filters a signal as it comes, each column by itself; the first row stays as it is.

    x'_t = x'_(t-1) + a (x_t - x'_(t-1)), a = r / (r + 1), r = 2 pi c / fps, c = cutoff + beta |v'|, where v' is the speed
    (x_t - x'_(t-1)) fps, filtered the same way at ``speed_cutoff``.
    """

    def __init__(self, fps: float, smoothing: Smoothing) -> None:
        self._fps, self._smoothing = fps, smoothing
        self._last: np.ndarray | None = None
        self._speed: np.ndarray | float = 0.0

    def __call__(self, row: np.ndarray) -> np.ndarray:
        """(D,) -> (D,) float64."""
        smoothing, value = self._smoothing, np.asarray(row, np.float64)
        if self._last is None or smoothing.cutoff == 0:
            self._last = value.copy()
            return value.copy()
        step = value - self._last
        self._speed = self._speed + _share(smoothing.speed_cutoff, self._fps) * (step * self._fps - self._speed)
        self._last = self._last + _share(smoothing.cutoff + smoothing.beta * np.abs(self._speed), self._fps) * step
        return self._last.copy()


def one_euro(values: np.ndarray, fps: float, smoothing: Smoothing) -> np.ndarray:
    """(T, D) at ``fps`` frames a second through ``OneEuro`` -> (T, D) float64. Causal: rows after t do not matter to row t."""
    smooth, signal = OneEuro(fps, smoothing), np.asarray(values, np.float64)
    return np.stack([smooth(row) for row in signal]) if len(signal) else signal.copy()


def _share(cutoff: float | np.ndarray, fps: float) -> float | np.ndarray:
    """Of a new value, what a first-order low-pass takes up: 1 / (1 + tau fps), tau = 1 / (2 pi cutoff)."""
    turns = 2 * math.pi * cutoff / fps
    return turns / (turns + 1)
