"""Smoothing as the signal comes, without looking ahead: what ``steadying`` does for clips that are over.

A first-order low-pass at CUTOFF where the signal rests. Where a measurement lies farther from the smoothed signal than noise
explains, the low-pass opens with the square of the distance, so that a blink or a turn of the head is shown at once, with a lag of
a few standard deviations of the noise at most. The noise is learned from the last measurements, as there.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from diffusionrig.capture.tracking.steadying import LEAST, noise_variance

CUTOFF = 1.5
"""Hertz at which a resting signal's amplitude is reduced to .7."""

LOOSE = 2.0
"""Standard deviations of the noise from which on the low-pass opens."""

HELD = 48
"""Measurements that the noise is learned from."""


class Steadier:
    """Give it the measurements one after the other; each answers with the smoothed one."""

    def __init__(self, cutoff: float = CUTOFF) -> None:
        self._cutoff = cutoff
        self._last: deque[np.ndarray] = deque(maxlen=HELD)
        self._state: np.ndarray | None = None

    def restart(self) -> None:
        """What comes next does not go on from what came before."""
        self._last.clear()
        self._state = None

    def __call__(self, values: np.ndarray, seconds: float) -> np.ndarray:
        """(D,) float64, ``seconds`` after the one before; the first of all comes back as it is."""
        measured = np.asarray(values, np.float64)
        self._last.append(measured)
        if self._state is None or self._cutoff <= 0:
            self._state = measured.copy()
            return self._state.copy()
        rows = np.stack(self._last)
        noise = np.maximum(np.sqrt(noise_variance(rows, np.ones(len(rows), bool))), LEAST) if len(rows) > 3 else LEAST
        away = measured - self._state
        opened = self._cutoff * np.maximum(1.0, (away / (LOOSE * noise)) ** 2)
        self._state = self._state + (1 - np.exp(-2 * np.pi * opened * max(seconds, 0.0))) * away
        return self._state.copy()
