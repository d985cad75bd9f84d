"""Named arrays in one .npz file on disk, never pickled."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np

from diffusionrig.io.files import existing_file, read_bytes, write_bytes
from diffusionrig.io.npz import read_arrays


def write_array_file(path: str | Path, arrays: dict[str, np.ndarray], compress: bool = True) -> None:
    """Write ``arrays`` (numbers and fixed-width text only); the same arrays give the same bytes."""
    buffer = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(buffer, "w", kind) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
            # A fixed date: numpy's own savez would put the hour of writing into the file.
            entry = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            entry.compress_type = kind
            archive.writestr(entry, member.getvalue())
    write_bytes(path, buffer.getvalue())


def read_array_file(path: str | Path, what: str = "array file") -> dict[str, np.ndarray]:
    """Read an .npz file; UsageError when it is absent, RigError when it is damaged or holds pickled objects."""
    file = existing_file(path, what)
    return read_arrays(read_bytes(file), str(file))
