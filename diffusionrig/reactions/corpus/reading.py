"""One clip's files as arrays, each read when it is asked for and checked as it is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from diffusionrig.errors import RigError
from diffusionrig.io.mapped_npy import map_npy
from diffusionrig.io.tables import read_number_table
from diffusionrig.io.wav import read_wav
from diffusionrig.reactions.corpus.attributes import COLUMNS, N_COEFFICIENTS


def read_emotion(path: Path) -> np.ndarray:
    """Attributes (rows, 25) float32 of a REACT csv or a MARS npy file; RigError on other columns or values that are not finite."""
    values = read_number_table(path, COLUMNS, "Emotion file") if path.suffix == ".csv" else map_rows(path, len(COLUMNS))
    return finite(np.array(values, np.float32), path)


def read_coefficients(path: Path, rows: int | None = None) -> np.ndarray:
    """Coefficients (rows, 58) float32 of an npy file (frames, 1, 58) or (frames, 58); no more than ``rows`` are read."""
    return finite(np.array(map_rows(path, N_COEFFICIENTS)[:rows], np.float32), path)


def map_rows(path: Path, width: int) -> np.ndarray:
    """An npy file of shape (n, 1, width) or (n, width), unread, as (n, width); RigError when it is of another."""
    array = map_npy(path, "coefficient file" if width == N_COEFFICIENTS else "attribute file")
    if array.ndim == 3 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 2 or array.shape[1] != width or array.dtype.kind not in "fiu":
        raise RigError(f"{path} has the shape {tuple(array.shape)}, but (frames, {width}) or (frames, 1, {width}) is needed; write "
                       "it again.")
    return array


def finite(values: np.ndarray, path: Path) -> np.ndarray:
    """``values`` (rows, columns) when all are finite; RigError naming file, row and column otherwise."""
    wrong = np.argwhere(~np.isfinite(values))
    if len(wrong):
        row, column = wrong[0]
        raise RigError(f"{path} holds {values[row, column]} at row {row}, column {column}; repair the file or leave the clip out.")
    return values


def read_sound(path: Path) -> tuple[np.ndarray, int]:
    """Samples (n,) float32 in -1..1, the mean of all channels, and the rate in hertz."""
    samples, rate = read_wav(path)
    return samples.mean(1, dtype=np.float32), rate
