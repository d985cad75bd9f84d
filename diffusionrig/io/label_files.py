"""Label tables (csv) and label arrays (npy) as data sets of faces ship them, as plain values."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from diffusionrig.errors import RigError
from diffusionrig.io.arrays import read_npy

AFFECTNET_COLUMNS = ("subDirectory_filePath", "face_x", "face_y", "face_width", "face_height", "facial_landmarks",
                     "expression", "valence", "arousal")
_PATH_COLUMNS = ("subDirectory_filePath", "pth")


def read_label_table(path: str | Path) -> dict[str, dict[str, str]] | None:
    """Rows of a label csv by the picture they are about (lower case, forward slashes); None when it is another table.

    The picture is named in the column ``subDirectory_filePath`` (AffectNet) or ``pth``. AffectNet's validation list, which
    has no header line, is recognised by its nine columns.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file)
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
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise RigError(f"Cannot read the labels in {path} ({error}); repair the table or move it away.") from error


def read_label_arrays(folder: Path, stem: str) -> dict[str, Any]:
    """AffectNet's ``STEM_exp.npy, _val.npy, _aro.npy, _lnd.npy`` in ``folder``, those that are there, never unpickled."""
    found: dict[str, Any] = {}
    for ending, name in (("exp", "expression"), ("val", "valence"), ("aro", "arousal"), ("lnd", "landmarks")):
        path = folder / f"{stem}_{ending}.npy"
        if path.is_file():
            array = read_npy(path)
            try:
                # Some releases keep the numbers as text.
                values = array.astype(np.float64).ravel()
            except ValueError:
                raise RigError(f"{path} does not hold numbers; repair it or move it away.") from None
            found[name] = [round(float(value), 3) for value in values] if name == "landmarks" else float(values[0])
    return found
