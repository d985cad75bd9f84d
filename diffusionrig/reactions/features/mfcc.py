"""Mel-frequency cepstra as Kaldi computes them, and the 78 numbers a video frame that the REACT baselines feed on.

The formulas are Kaldi's (``compute-mfcc-feats``) with its defaults, as the baselines call them: windows of 25 ms every 10 ms
that lie wholly within the samples, 23 mel bands, 13 cepstra, the first replaced by the logarithm of the window's energy, no dither.
"""

from __future__ import annotations

import functools

import numpy as np

from diffusionrig.errors import RigError

CEPSTRA, BANDS = 13, 23
WINDOW, SHIFT = 0.025, 0.010
"""Seconds."""

PRE_EMPHASIS, LIFTER, LOWEST = 0.97, 22.0, 20.0
FLOOR = float(np.finfo(np.float32).eps)
"""Under the energy of a band. That of a window, of samples in -1..1, has the floor 1: its logarithm is 0 or more."""

SPREAD = 2
"""Neighbours on either side that a difference takes in."""


def sizes(rate: int) -> tuple[int, int, int]:
    """Samples in a window, between windows, and in a Fourier transform."""
    window = int(rate * WINDOW)
    return window, int(rate * SHIFT), 1 << (window - 1).bit_length()


def window_count(samples: int, rate: int) -> int:
    """How many windows lie wholly within ``samples``."""
    window, shift, _ = sizes(rate)
    return 0 if samples < window else 1 + (samples - window) // shift


def mel(hertz: np.ndarray | float) -> np.ndarray:
    """Kaldi's mel scale: 1127 ln(1 + f / 700)."""
    return 1127.0 * np.log1p(np.asarray(hertz, np.float64) / 700.0)


@functools.lru_cache(maxsize=4)
def bands(rate: int) -> np.ndarray:
    """(23, size // 2) triangles, linear in mel, from 20 Hz to half the rate; the last bin, at half the rate, has no part."""
    size = sizes(rate)[2]
    edges = np.linspace(float(mel(LOWEST)), float(mel(rate / 2)), BANDS + 2)[:, None]
    place = mel(np.arange(size // 2) * (rate / size))
    rising = (place - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - place) / (edges[2:] - edges[1:-1])
    return np.clip(np.minimum(rising, falling), 0.0, None)


@functools.lru_cache(maxsize=1)
def cosines() -> np.ndarray:
    """(23, 13) orthonormal cosine transform of type II, with Kaldi's lifter 1 + 11 sin(pi k / 22) in it."""
    orders = np.arange(CEPSTRA)
    table = np.sqrt(2.0 / BANDS) * np.cos(np.pi / BANDS * (np.arange(BANDS)[:, None] + 0.5) * orders)
    table[:, 0] = np.sqrt(1.0 / BANDS)
    return table * (1.0 + 0.5 * LIFTER * np.sin(np.pi * orders / LIFTER))


def mfcc(samples: np.ndarray, rate: int) -> np.ndarray:
    """Samples (..., n) in -1..1 -> (..., windows, 13) float64."""
    window, shift, size = sizes(rate)
    count = window_count(samples.shape[-1], rate)
    places = np.arange(count)[:, None] * shift + np.arange(window)
    frames = np.asarray(samples, np.float64)[..., places]
    frames = frames - frames.mean(-1, keepdims=True)
    energy = np.log(np.maximum((frames**2).sum(-1), 1.0))
    before = np.concatenate([frames[..., :1], frames[..., :-1]], -1)
    # Povey's window: Hann's, whose ends are zero, to the power of 0.85.
    shaped = (frames - PRE_EMPHASIS * before) * np.hanning(window) ** 0.85
    power = np.abs(np.fft.rfft(shaped, size)[..., :size // 2]) ** 2
    cepstra = np.log(np.maximum(power @ bands(rate).T, FLOOR)) @ cosines()
    cepstra[..., 0] = energy
    return cepstra


def differences(values: np.ndarray) -> np.ndarray:
    """(..., n) -> (..., n): sum of i (x_(t+i) - x_(t-i)) over i = 1, 2, divided by 10; the ends are repeated outwards."""
    padded = np.concatenate([np.repeat(values[..., :1], SPREAD, -1), values, np.repeat(values[..., -1:], SPREAD, -1)], -1)
    length, steps = values.shape[-1], range(1, SPREAD + 1)
    total = sum(step * (padded[..., SPREAD + step:SPREAD + step + length] - padded[..., SPREAD - step:SPREAD - step + length])
                for step in steps)
    return np.asarray(total / (2 * sum(step**2 for step in steps)))


def frame_width(rate: int, fps: float) -> int:
    """Numbers a video frame: 78 at 25 frames a second, 39 at 30, where only one window lies within a frame."""
    return 3 * CEPSTRA * window_count(int(rate / fps), rate)


def frame_mfcc(samples: np.ndarray, rate: int, fps: float, count: int) -> np.ndarray:
    """Samples (n,) in -1..1 -> (count, D) float32, row t from the samples of video frame t alone.

    Cepstra, their differences, and the differences of these, each ordered by cepstrum and then by window: D = 3 x 13 x windows.
    What lacks at the end is silence. RigError when no window of 25 ms lies within a frame.
    """
    if not frame_width(rate, fps):
        raise RigError(f"At {fps:g} frames a second no window of 25 ms lies within a frame, so there is no MFCC; leave mfcc out.")
    length, starts = int(rate / fps), np.rint(np.arange(count) * (rate / fps)).astype(np.int64)
    lacking = max(0, int(starts[-1]) + length - len(samples))
    padded = np.concatenate([np.asarray(samples, np.float32), np.zeros(lacking, np.float32)])
    base = mfcc(padded[starts[:, None] + np.arange(length)], rate).swapaxes(-1, -2)
    first = differences(base)
    return np.stack([base, first, differences(first)], 1).reshape(count, -1).astype(np.float32)
