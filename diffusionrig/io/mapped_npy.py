"""Arrays in .npy files that are looked at without loading them whole."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from diffusionrig.errors import RigError
from diffusionrig.io.damage import reading
from diffusionrig.io.files import existing_file
from diffusionrig.io.npy_stream import read_npy_header, require_whole


def map_npy(path: str | Path, what: str = "array") -> np.ndarray:
    """The numbers of an ``.npy`` file, read from disk as they are used; never unpickled.

    UsageError when the file is absent; RigError when it is damaged, cut off, or holds anything but real numbers.
    """
    file = existing_file(path, what)
    with reading(file, "is damaged or is no plain .npy array"):
        with open(file, "rb") as stream:
            header = read_npy_header(stream)
            require_whole(header, os.fstat(stream.fileno()).st_size)
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
        raise RigError(f"{file} does not hold an array of real numbers; copy it again.")
    return array
