"""Telling editions of a head model apart."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np


def arrays_hash(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 (hex) over names, types, shapes and bytes of the arrays, in alphabetical order."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name}|{array.dtype.str}|{array.shape}|".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
