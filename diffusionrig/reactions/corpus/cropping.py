"""One length for everything that is known of a clip: attributes have 750 rows, frames and coefficients 751."""

from __future__ import annotations

import numpy as np

from diffusionrig.errors import RigError

FULL_LENGTH = 750
"""Frames of a REACT clip that count: 30 seconds at 25 frames a second."""


def usable_length(rows: int) -> int:
    """How much of ``rows`` counts: one frame more than FULL_LENGTH is the surplus one of the distributed videos."""
    return FULL_LENGTH if rows == FULL_LENGTH + 1 else rows


def crop(array: np.ndarray, length: int | None, source: object) -> np.ndarray:
    """The first ``length`` rows (all, when None); RigError naming ``source`` when it has fewer."""
    if length is None:
        return array
    if len(array) < length:
        raise RigError(f"{source} has {len(array)} rows, but {length} are needed; copy it again, leave the clip out, or open the "
                       f"corpus with a length of {len(array)}.")
    return array[:length]


def crop_sound(samples: np.ndarray, rate: int, length: int | None, fps: int, source: object) -> np.ndarray:
    """The samples (n,) that belong to ``length`` frames (all, when None).

    A shortfall of at most one frame, as encoders leave it, is filled with silence; RigError beyond that.
    """
    if length is None:
        return samples
    wanted = round(length * rate / fps)
    if len(samples) >= wanted:
        return samples[:wanted]
    if wanted - len(samples) > rate / fps:
        raise RigError(f"{source} lasts {len(samples) / rate:.2f} s, but {length} frames take {length / fps:.2f} s; extract the "
                       "sound again or leave the clip out.")
    return np.concatenate([samples, np.zeros(wanted - len(samples), samples.dtype)])
