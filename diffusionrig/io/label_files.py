"""Label tables (csv) and label arrays (npy) as data sets of faces ship them, as plain values."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import Any

import numpy as np

from diffusionrig.io.arrays import read_npy
from diffusionrig.io.damage import reading
from diffusionrig.io.files import read_bytes

AFFECTNET_COLUMNS = ("subDirectory_filePath", "face_x", "face_y", "face_width", "face_height", "facial_landmarks",
                     "expression", "valence", "arousal")
_PATH_COLUMNS = ("subDirectory_filePath", "pth")

_MOST = 1 << 28
"""Bytes of a table; AffectNet's has 80 MB."""


def read_label_table(path: str | Path) -> dict[str, dict[str, str]] | None:
    """Rows of a label csv by the picture they are about (lower case, forward slashes); None when it is another table.

    The picture is named in the column ``subDirectory_filePath`` (AffectNet) or ``pth``. AffectNet's validation list, which
    has no header line, is recognised by its nine columns.
    """
    with reading(f"The table of labels {path}", "cannot be read", "repair the table or move it away"):
        lines = csv.reader(io.StringIO(read_bytes(path, _MOST).decode("utf-8-sig"), newline=""))
        first = next(lines, [])
        headless = len(first) == len(AFFECTNET_COLUMNS) and "/" in first[0] and "." in first[0]
        columns = list(AFFECTNET_COLUMNS) if headless else [name.strip() for name in first]
        key = next((columns.index(name) for name in _PATH_COLUMNS if name in columns), None)
        if key is None:
            return None
        table = {}
        for row in ([first] if headless else []) + list(lines):
            if len(row) == len(columns):
                table[row[key].replace("\\", "/").lower()] = dict(zip(columns, row))
        return table


def read_label_arrays(folder: Path, stem: str) -> dict[str, Any]:
    """AffectNet's ``STEM_exp.npy, _val.npy, _aro.npy, _lnd.npy`` in ``folder``, those that are there, never unpickled."""
    found: dict[str, Any] = {}
    for ending, name in (("exp", "expression"), ("val", "valence"), ("aro", "arousal"), ("lnd", "landmarks")):
        path = folder / f"{stem}_{ending}.npy"
        if os.path.isfile(path):
            array = read_npy(path)
            with reading(path, "does not hold numbers", "repair it or move it away"):
                # Some releases keep the numbers as text.
                values = array.astype(np.float64).ravel()
                found[name] = [round(float(value), 3) for value in values] if name == "landmarks" else float(values[0])
    return found
