"""When pictures of a clip are shown, as their stamps say, and which of them stands at each step of a constant rate."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from fractions import Fraction

import numpy as np

STANDARD = tuple(Fraction(*rate) for rate in (
    (10, 1), (12, 1), (15, 1), (20, 1), (24, 1), (25, 1), (30, 1), (48, 1), (50, 1), (60, 1), (120, 1), (25, 2), (24000, 1001),
    (30000, 1001), (60000, 1001)))
"""Rates that cameras and films have, in pictures a second; of two that suit the first is taken."""

SLOWEST, FASTEST = Fraction(10), Fraction(120)
"""Bounds of the rate at which pictures of varying distance are taken."""

_EXACT, _STEADY = 0.05, 0.4
"""How far, in frames, a picture may lie from its place for a rate to be the clip's own, and to count as constant at all."""

_SEEN = 0.04
"""Seconds by which it may not be more, however slow the pictures come: lips and sound part."""

_LAST = 0.51
"""How much longer or shorter than the others, in frames, the last picture may stay."""

_SNAP = 0.08
_ROUNDED = 1e-3
"""Seconds by which Matroska's stamps are rounded."""


@dataclasses.dataclass(frozen=True, eq=False)
class Timing:
    """times   (n,) float64, seconds at which each picture appears, not falling, the first 0
    seconds when the last picture ends
    rate    pictures a second: the constant one, or where distances vary the usual one
    steady  whether the rate is constant
    """

    times: np.ndarray
    seconds: float
    rate: Fraction
    steady: bool

    def __len__(self) -> int:
        return len(self.times)

    def keeps(self, rate: float | Fraction) -> bool:
        """Whether the pictures one by one at ``rate`` stand where their stamps say."""
        rate = Fraction(rate)
        return _stray(self.times, rate) <= min(_STEADY, _SEEN * rate) and abs(self.seconds * float(rate) - len(self.times)) <= _LAST

    def numbers(self, rate: float | Fraction) -> np.ndarray:
        """(m,) number of the picture that stands at each step of ``rate``; each picture once where the clip has that rate.

        Otherwise the one that is shown in the middle of the step, so that none is off by more than half a step, and m steps
        last as long as the clip.
        """
        if self.keeps(rate):
            return np.arange(len(self.times))
        count = max(1, round(self.seconds * Fraction(rate)))
        return self.at((np.arange(count) + 0.5) / float(rate))

    def at(self, seconds: np.ndarray) -> np.ndarray:
        """Numbers of the pictures that are shown at these times; the first before the beginning, the last after the end."""
        return np.clip(np.searchsorted(self.times, np.asarray(seconds) + _ROUNDED, side="right") - 1, 0, len(self.times) - 1)


def timing_of(times: np.ndarray, last: float | None, stated: Iterable[Fraction | None]) -> Timing:
    """The timing of one picture or more. ``times`` (n,) seconds, in any order; ``last`` seconds that the last one stays, None when
    the file does not say; ``stated`` rates in the file's header, which are taken only where the stamps agree."""
    times = np.sort(np.asarray(times, np.float64))
    times = times - times[0]
    gaps = np.diff(times)
    gaps = gaps[gaps > 0]
    named = [rate for rate in stated if rate]
    if not len(gaps):
        rate = next(iter(named), Fraction(25)) if not last else _tidy(1 / last)
        return Timing(times, last or float(1 / rate), rate, True)
    usual = float(np.median(gaps))
    # A header of 1000 pictures a second makes the last one last a millisecond.
    last = last if last is not None and last >= usual / 2 else usual
    measured = Fraction((len(times) - 1) / float(times[-1])).limit_denominator(1001)
    seconds = float(times[-1]) + last
    choices = [*named, *STANDARD, measured]
    strays = [_stray(times, rate) for rate in choices]
    rate = next((choice for choice, stray in zip(choices, strays) if stray <= _EXACT), choices[int(np.argmin(strays))])
    if min(strays) > min(_STEADY, _SEEN * rate):
        rate = min(max(_tidy(1 / usual), SLOWEST), FASTEST)
    timing = Timing(times, seconds, rate, False)
    return dataclasses.replace(timing, steady=timing.keeps(rate))


def _tidy(rate: float) -> Fraction:
    """A standard rate where one is near."""
    nearest = min(STANDARD, key=lambda standard: abs(float(standard) / rate - 1))
    return nearest if abs(float(nearest) / rate - 1) <= _SNAP else max(Fraction(rate).limit_denominator(100), Fraction(1, 100))


def _stray(times: np.ndarray, rate: Fraction) -> float:
    """The largest distance, in frames, of a picture from its place at ``rate``."""
    if rate <= 0:
        return float("inf")
    return float(np.abs(times * float(rate) - np.arange(len(times))).max())
