"""Reading arrays from npz archives without ever unpickling."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path

import numpy as np

from diffusionrig.errors import RigError
from diffusionrig.io.mistaken import LOOKED_AT, refuse_mistaken


def read_arrays(data: bytes, name: str) -> dict[str, np.ndarray]:
    """The arrays of an npz given as bytes; ``name`` is what an error calls it.

    RigError when the bytes are no npz, are damaged, or hold Python objects (which only unpickling could read).
    """
    refuse_mistaken(data[:LOOKED_AT], name)
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except (ValueError, EOFError, OSError, KeyError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        raise RigError(f"{name} is damaged or is no npz archive of plain arrays; fetch or install it again.") from error


def array_names(path: str | Path) -> list[str]:
    """The names of the arrays in an npz file, whose values are not read; RigError when it is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile) as error:
        raise RigError(f"{path} is damaged or is no npz archive; fetch or install it again.") from error
