"""The published vocabularies: ``AU_index.csv`` and ``VA_index.csv`` (columns index, combinations), expression centres.

The centres came as a pickled scikit-learn object, which is not unpickled here: save its ``cluster_centers_`` as
``exp_centres.npy`` (8000, 8).
"""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import torch

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.mapped_npy import map_npy
from diffusionrig.io.tables import read_text_table
from diffusionrig.reactions.generators.unifr.vocabulary import Vocabulary

CENTRES = "exp_centres.npy"
_CELL = 0.025


def read_vocabulary(folder: str | Path, compat: bool = False) -> Vocabulary:
    """The vocabulary in ``folder``. Its table of cells names upper edges; they become centres."""
    place = Path(folder)
    if not (place / CENTRES).is_file():
        raise UsageError(f"There is no {place / CENTRES}; save cluster_centers_ of the published kmeans.pkl under that name "
                         "(it is a pickle, which is not opened here).")
    exp = np.array(map_npy(place / CENTRES, "centres of expressions"), np.float32)
    if exp.ndim != 2 or exp.shape[1] != 8 or not np.isfinite(exp).all():
        raise RigError(f"{place / CENTRES} has the shape {exp.shape}, but (words, 8) is needed; save it again.")
    edges = _combinations(place / "VA_index.csv", 2)
    return Vocabulary(torch.from_numpy(_combinations(place / "AU_index.csv", 15)), torch.from_numpy(exp),
                      torch.from_numpy(edges - _CELL / 2), _CELL, compat)


def _combinations(path: Path, width: int) -> np.ndarray:
    """Rows (words, width) in the order of their index, which must run from 0 without a gap."""
    header, rows = read_text_table(path, "vocabulary")
    try:
        number, text = header.index("index"), header.index("combinations")
    except ValueError:
        raise RigError(f"{path} has the columns {', '.join(header)}, but index and combinations are needed; copy it "
                       "again.") from None
    values: dict[int, tuple[float, ...]] = {}
    for line, row in enumerate(rows, 2):
        try:
            entry = tuple(float(one) for one in ast.literal_eval(row[text]))
            values[int(row[number])] = entry
        except (ValueError, SyntaxError, TypeError, IndexError):
            raise RigError(f"Line {line} of {path} is no word: an index and a tuple of {width} numbers; repair it.") from None
        if len(entry) != width:
            raise RigError(f"Line {line} of {path} has {len(entry)} numbers instead of {width}; repair it.")
    if sorted(values) != list(range(len(values))) or not values:
        raise RigError(f"The indices in {path} do not run from 0 to {len(rows) - 1}; copy it again.")
    return np.array([values[i] for i in range(len(values))], np.float32)
