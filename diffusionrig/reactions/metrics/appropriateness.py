"""Which listeners' reactions are appropriate answers to which speaker.

Row i of the square matrix names the items j whose *speaker* behaves like speaker i; what *listener* j really did is then an
appropriate answer to speaker i. Rows follow the mirrored order: the P pairs of the csv, then the same pairs the other way round.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from diffusionrig.errors import RigError

Neighbours = Sequence[np.ndarray]
"""For each item the indices of its appropriate listeners, ascending, at least one."""


def neighbours_of(matrix: np.ndarray, items: int, where: str = "The neighbour matrix") -> list[np.ndarray]:
    """The index lists of a matrix (N, N) of zeros and ones; RigError when it is no such matrix for ``items`` items."""
    if matrix.ndim != 2 or matrix.shape != (items, items):
        raise RigError(f"{where} has the shape {matrix.shape}, but {items} items need ({items}, {items}); give the matrix of this "
                       "split, in mirrored order.")
    on = np.asarray(matrix) != 0
    strange = np.argwhere(on & (np.asarray(matrix) != 1))
    if len(strange):
        i, j = map(int, strange[0])
        raise RigError(f"{where} holds {matrix[i, j]} at row {i}, column {j}; only 0 and 1 have a meaning.")
    uneven = np.argwhere(on != on.T)
    if len(uneven):
        i, j = map(int, uneven[0])
        raise RigError(f"{where} is not symmetric: row {i}, column {j} differs from row {j}, column {i}; write it again.")
    if not on.diagonal().all():
        raise RigError(f"{where} lacks the item itself in row {int(np.argmin(on.diagonal()))}; its diagonal must be 1.")
    return [np.flatnonzero(row) for row in on]
