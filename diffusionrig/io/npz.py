"""Reading arrays from npz archives without ever unpickling, and without unfolding more than such a file is worth."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np

from diffusionrig.io.damage import reading
from diffusionrig.io.mistaken import LOOKED_AT, refuse_mistaken
from diffusionrig.io.npy_stream import read_npy_header, read_numbers
from diffusionrig.io.paths import ordinary_file

SMALL, UNFOLDED = 1 << 26, 8
"""Arrays of an archive may take this many bytes, or so many times those of the file: numbers pack to a half, not to nothing."""

_KIND, _ADVICE = "is damaged or is no npz archive of plain arrays", "fetch or install it again"


def read_arrays(data: bytes, name: str) -> dict[str, np.ndarray]:
    """The arrays of an npz given as bytes; ``name`` is what an error calls it.

    RigError when the bytes are no npz, are damaged, unfold to far more than they are, or hold Python objects (which only unpickling
    could read).
    """
    refuse_mistaken(data[:LOOKED_AT], name)
    found = {}
    with reading(name, _KIND, _ADVICE), zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > max(SMALL, UNFOLDED * len(data)):
            raise ValueError("it unfolds to far more than its own size")
        for member in members:
            with archive.open(member) as stream:
                header = read_npy_header(stream, with_text=True)
                if header.dtype is None:
                    raise ValueError("it holds Python objects, which are not unpickled")
                if member.file_size != header.length + header.nbytes:
                    raise ValueError(f"{member.filename} does not hold the numbers that it declares")
                found[member.filename.removesuffix(".npy")] = read_numbers(stream, header)
    return found


def array_names(path: str | Path) -> list[str]:
    """The names of the arrays in an npz file, whose values are not read; RigError when it is none."""
    with reading(path, "is damaged or is no npz archive", _ADVICE), zipfile.ZipFile(ordinary_file(path, "npz archive")) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist()]
