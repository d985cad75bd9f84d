"""Log mel energies of speech, one row for each video frame."""

from __future__ import annotations

import functools

import numpy as np

BANDS = 26
FLOOR = 1e-10
"""Added to energies of samples in -1..1, so that silence is finite: ln 1e-10 = -23."""


def mel(hertz: np.ndarray | float) -> np.ndarray:
    """The mel scale of O'Shaughnessy: 2595 log10(1 + f / 700)."""
    return 2595.0 * np.log10(1.0 + np.asarray(hertz, np.float64) / 700.0)


def hertz(mels: np.ndarray | float) -> np.ndarray:
    """The inverse of ``mel``."""
    return 700.0 * (10.0 ** (np.asarray(mels, np.float64) / 2595.0) - 1.0)


@functools.lru_cache(maxsize=8)
def filter_bank(rate: int, size: int, bands: int = BANDS, top: float = 8000.0) -> np.ndarray:
    """(bands, size // 2 + 1) triangles over the bins of a Fourier transform of ``size`` samples, evenly spaced in mel from 0 to
    ``top`` hertz (no more than half the rate), so that features of recordings at different rates mean the same."""
    edges = hertz(np.linspace(0.0, float(mel(min(top, rate / 2))), bands + 2))
    bins = np.fft.rfftfreq(size, 1.0 / rate)
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    return np.clip(np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)), 0.0, None)


def log_mel(samples: np.ndarray, rate: int, fps: float = 25.0, bands: int = BANDS) -> np.ndarray:
    """Samples (n,) in -1..1 -> (T, bands) float32 natural logarithms of energy, T = frames begun within the samples.

    Row t sees the samples of frame t alone, from t / fps on for 1 / fps seconds (40 ms at 25 frames a second), under a Hann
    window; the last is filled up with silence.
    """
    hop = rate / fps
    count = int(np.ceil(len(samples) / hop - 1e-6))
    size = round(hop)
    starts = np.rint(np.arange(count) * hop).astype(np.int64)
    padded = np.concatenate([np.asarray(samples, np.float64), np.zeros(size + 1)])
    frames = padded[starts[:, None] + np.arange(size)] * np.hanning(size + 2)[1:-1]
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2 / size
    return np.log(power @ filter_bank(rate, size, bands).T + FLOOR).astype(np.float32)
