"""Samples as everything else expects them: within -1..1, in one or two channels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from diffusionrig.errors import RigError

_HALF = 0.5**0.5
_LEFT_RIGHT = {
    "FL": (1.0, 0.0), "FR": (0.0, 1.0), "FC": (_HALF, _HALF), "BC": (0.5, 0.5), "FLC": (1.0, 0.0), "FRC": (0.0, 1.0),
    "SL": (_HALF, 0.0), "SR": (0.0, _HALF), "BL": (_HALF, 0.0), "BR": (0.0, _HALF), "LFE": (0.0, 0.0), "LFE2": (0.0, 0.0)}
"""What of a channel, by FFmpeg's names, is heard on the left and on the right (ITU-R BS.775, without the low-frequency effects)."""

MOST_OVER = 4.0
"""Largest sample (12 dB over full scale) that is taken for one that was meant to lie within -1..1."""


def stereo(samples: np.ndarray, channels: Sequence[str]) -> np.ndarray:
    """(n, channels) -> (n, 2), or unchanged where there are one or two channels.

    The matrix is scaled so that no sum of samples within -1..1 leaves that range: nothing is ever clipped by mixing. Where a
    channel's place is unknown, both sides hear the mean of all.
    """
    if samples.shape[1] <= 2:
        return samples
    shares = np.array([_LEFT_RIGHT.get(name, (0.0, 0.0)) for name in channels], np.float32)
    known = len(channels) == samples.shape[1] and all(name in _LEFT_RIGHT for name in channels) and bool(shares.any(0).all())
    if not known:
        shares = np.ones((samples.shape[1], 2), np.float32)
    return samples @ (shares / shares.sum(0).max())


def in_range(samples: np.ndarray, file: Path, plain: bool = False) -> np.ndarray:
    """Samples (n, channels) float32 within -1..1. What lossy coding or mastering put a little beyond is cut off, as players do.

    ``plain`` says that they are the floating-point numbers of an uncompressed file, which may hold anything: 16-bit whole numbers
    that were never scaled are scaled here. RigError when other numbers are far from -1..1, or are none (NaN, infinity).
    """
    peak = float(np.abs(samples).max(initial=0.0))
    if not np.isfinite(peak):
        raise RigError(f"{file} holds samples that are not finite (NaN or infinity); write it again from its original.")
    if peak <= 1:
        return samples
    if plain and peak <= 32768 and (samples == np.rint(samples)).all():
        return samples / np.float32(32768)
    if plain and peak > MOST_OVER:
        raise RigError(f"{file} holds samples of up to {peak:g}, but in a file of floating-point numbers they lie within -1 and 1; "
                       "scale them by their full scale and write it again, or write 16-bit PCM.")
    return np.clip(samples, -1, 1)
