"""One array in an .npy file, of a shape known beforehand."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from diffusionrig.io.array_checks import Wanted, check_array, fits, wrong_shape
from diffusionrig.io.damage import reading
from diffusionrig.io.files import existing_file
from diffusionrig.io.npy_stream import read_npy_header, read_numbers


def read_checked_npy(path: str | Path, wanted: Wanted, what: str) -> np.ndarray:
    """The array of ``path``. UsageError when it is absent; RigError when it is damaged, of another shape or of objects."""
    file = existing_file(path, what)
    with reading(file, "is damaged or is no .npy file", "download it again"), open(file, "rb") as stream:
        header = read_npy_header(stream)
        if header.dtype is None:
            raise wrong_shape(str(file), "The array", wanted, "holds Python objects, which are not unpickled")
        if not fits(header.shape, wanted):
            raise wrong_shape(str(file), "The array", wanted, header.shape)
        array = read_numbers(stream, header)
    return check_array(array, wanted, str(file), "The array")
