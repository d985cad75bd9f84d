"""Which listeners' reactions are appropriate answers to which speaker.

Row i of the square matrix names the items j whose *speaker* behaves like speaker i; what *listener* j really did is then an
appropriate answer to speaker i. Rows follow the mirrored order: the P pairs of the csv, then the same pairs the other way round.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from diffusionrig.errors import RigError
from diffusionrig.reactions.corpus.matrices import matrix_problems

Neighbours = Sequence[np.ndarray]
"""For each item the indices of its appropriate listeners, ascending, at least one."""


def neighbours_of(matrix: np.ndarray, items: int, where: str = "The matrix") -> list[np.ndarray]:
    """The index lists of a matrix (N, N) of zeros and ones; RigError when it is no such matrix for ``items`` items."""
    problems = matrix_problems(matrix, items, where)
    if problems:
        raise RigError(f"{problems[0]}; give the matrix of this split, in mirrored order.")
    return [np.flatnonzero(row) for row in matrix]
