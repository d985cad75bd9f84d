"""Plain NumPy arrays from files, never pickled objects."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from diffusionrig.errors import RigError
from diffusionrig.io.files import atomic_path
from diffusionrig.io.mistaken import refuse_mistaken_file


def read_npy(path: str | Path) -> np.ndarray:
    """The array of an ``.npy`` file; RigError when it is damaged or holds Python objects."""
    refuse_mistaken_file(Path(path))
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise RigError(f"Cannot read {path} as a plain .npy array: {str(error).splitlines()[0]}.") from error


def write_npy(path: str | Path, array: np.ndarray) -> None:
    """Write a plain ``.npy`` file atomically."""
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.save(file, array, allow_pickle=False)
