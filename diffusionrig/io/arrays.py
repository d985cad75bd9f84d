"""Plain NumPy arrays from files, never pickled objects."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from diffusionrig.io.damage import reading
from diffusionrig.io.files import atomic_path, existing_file
from diffusionrig.io.npy_stream import read_npy_header, read_numbers, require_whole


def read_npy(path: str | Path) -> np.ndarray:
    """The array of an ``.npy`` file, of numbers or text; RigError when it is damaged or holds Python objects."""
    file = existing_file(path, "array")
    with reading(file, "is no plain .npy array", "copy it again"), open(file, "rb") as stream:
        header = read_npy_header(stream, with_text=True)
        require_whole(header, os.fstat(stream.fileno()).st_size)
        return read_numbers(stream, header)


def write_npy(path: str | Path, array: np.ndarray) -> None:
    """Write a plain ``.npy`` file atomically."""
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.save(file, array, allow_pickle=False)
