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


def one_euro(values: np.ndarray, fps: float, smoothing: Smoothing) -> np.ndarray:
    """(T, D) at ``fps`` frames a second -> (T, D) float64, each column filtered by itself. The first row stays as it is.

    x'_t = x'_(t-1) + a (x_t - x'_(t-1)), a = r / (r + 1), r = 2 pi c / fps, c = cutoff + beta |v'|, where v' is the speed
    (x_t - x'_(t-1)) fps, filtered the same way at ``speed_cutoff``. Causal: rows after t do not matter to row t.
    """
    signal = np.asarray(values, np.float64)
    if smoothing.cutoff == 0:
        return signal.copy()
    filtered = signal.copy()
    speed = np.zeros(signal.shape[1:])
    for t in range(1, len(signal)):
        step = signal[t] - filtered[t - 1]
        speed += _share(smoothing.speed_cutoff, fps) * (step * fps - speed)
        filtered[t] = filtered[t - 1] + _share(smoothing.cutoff + smoothing.beta * np.abs(speed), fps) * step
    return filtered


def _share(cutoff: float | np.ndarray, fps: float) -> float | np.ndarray:
    """Of a new value, what a first-order low-pass takes up: 1 / (1 + tau fps), tau = 1 / (2 pi cutoff)."""
    turns = 2 * math.pi * cutoff / fps
    return turns / (turns + 1)
