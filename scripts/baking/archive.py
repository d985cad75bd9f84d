"""Writing the npz so that equal arrays give equal bytes."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np

from diffusionrig.io.files import write_bytes


def settled(values: np.ndarray, decimals: int, dtype: type = np.float32) -> np.ndarray:
    """Rounded to ``decimals`` and without negative zeros, so that the last bits of another processor do not show."""
    return (np.round(values, decimals) + 0.0).astype(dtype) + dtype(0)


def npz_bytes(arrays: dict[str, np.ndarray]) -> bytes:
    """A compressed npz with fixed time stamps and the given order."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            body = io.BytesIO()
            np.lib.format.write_array(body, np.require(array, requirements="C"), version=(1, 0), allow_pickle=False)
            archive.writestr(entry, body.getvalue(), compresslevel=9)
    return out.getvalue()


def write_npz(path: Path, arrays: dict[str, np.ndarray]) -> int:
    """Write ``arrays`` atomically; returns the size in bytes."""
    data = npz_bytes(arrays)
    write_bytes(path, data)
    return len(data)
