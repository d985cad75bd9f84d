"""Appropriateness matrices: M[k, j] = 1 says that the reaction of listener j suits speaker k."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from diffusionrig.errors import RigError
from diffusionrig.io.mapped_npy import map_npy
from diffusionrig.reactions.corpus.clips import ClipId

_ROWS_AT_ONCE = 256


def matrix_problems(matrix: np.ndarray, size: int | None, name: str) -> list[str]:
    """What keeps ``matrix`` from being an appropriateness matrix of ``size`` items: each a clause naming the first wrong cell."""
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        return [f"{name} has the shape {tuple(matrix.shape)}, but a square matrix is needed"]
    if size is not None and len(matrix) != size:
        return [f"{name} is {len(matrix)} x {len(matrix)}, but the {size // 2} pairs of the csv file make {size} directed items"]
    problems, dense = [], np.zeros(matrix.shape, bool)
    for start in range(0, len(matrix), _ROWS_AT_ONCE):
        rows = np.asarray(matrix[start:start + _ROWS_AT_ONCE])
        wrong = np.argwhere(~((rows == 0) | (rows == 1)))
        if len(wrong):
            row, column = wrong[0]
            problems.append(f"{name} holds {rows[row, column]} at row {start + row}, column {column}, but only 0 and 1 are allowed")
            return problems
        dense[start:start + len(rows)] = rows != 0
    off = np.flatnonzero(~dense.diagonal())
    if len(off):
        problems.append(f"{name} is 0 on the diagonal at row {off[0]}, but every reaction suits its own speaker")
    for start in range(0, len(dense), _ROWS_AT_ONCE):
        uneven = np.argwhere(dense[start:start + _ROWS_AT_ONCE] != dense[:, start:start + _ROWS_AT_ONCE].T)
        if len(uneven):
            row, column = uneven[0][0] + start, uneven[0][1]
            problems.append(f"{name} is not symmetric: {int(dense[row, column])} at row {row}, column {column}, but "
                            f"{int(dense[column, row])} at row {column}, column {row}")
            break
    return problems


def read_matrix(path: str | Path, size: int | None = None) -> np.ndarray:
    """The matrix (N, N) bool of a file; RigError unless it is square, of ``size``, binary, symmetric, with a unit diagonal."""
    stored = map_npy(path, "appropriateness matrix")
    problems = matrix_problems(stored, size, str(path))
    if problems:
        raise RigError(f"{problems[0]}; write it again with 'diffusionrig react index'.")
    dense = np.empty(stored.shape, bool)
    for start in range(0, len(stored), _ROWS_AT_ONCE):
        dense[start:start + _ROWS_AT_ONCE] = stored[start:start + _ROWS_AT_ONCE] != 0
    return dense


def class_matrix(labels: Sequence[object]) -> np.ndarray:
    """(N, N) bool: items of equal label suit one another. Symmetric and transitive."""
    known: dict[object, int] = {}
    number = np.array([known.setdefault(label, len(known)) for label in labels])
    return number[:, None] == number[None, :]


def cut_blocks(whole: np.ndarray, rows: Sequence[int] | np.ndarray) -> np.ndarray:
    """The (2P, 2P) matrix of the pairs ``rows`` out of that of all pairs (2A, 2A), whose second half is mirrored.

    The four blocks [r, r], [r, r + A], [r + A, r], [r + A, r + A] side by side. RigError when a row is not among the A.
    """
    if whole.ndim != 2 or whole.shape[0] != whole.shape[1] or len(whole) % 2:
        raise RigError(f"The matrix of all pairs has the shape {tuple(whole.shape)}, but an even square is needed; copy it again.")
    half, chosen = len(whole) // 2, np.asarray(rows, np.int64)
    if len(chosen) and (chosen.min() < 0 or chosen.max() >= half):
        raise RigError(f"Pair {int(chosen.max())} is not among the {half} of the matrix of all pairs; data_indices.csv and the "
                       "matrix belong to different corpora.")
    both = np.concatenate([chosen, chosen + half])
    cut = np.empty((len(both), len(both)), bool)
    for at, row in enumerate(both):
        cut[at] = np.asarray(whole[row])[both] != 0
    return cut


def pair_rows(speakers: Sequence[ClipId], indices: Sequence[Sequence[str]]) -> list[int]:
    """Row of ``data_indices.csv`` (site, chat_index, clip_index) that each pair is; sites compare without letter case.

    RigError naming the first clip that is not in the list.
    """
    known = {(site.upper(), chat, clip): row for row, (site, chat, clip) in enumerate(indices)}
    rows = []
    for number, clip in enumerate(speakers):
        key = (clip.site.upper(), clip.chat_index, clip.clip)
        if key not in known:
            raise RigError(f"Row {number} of the split, {clip}, is not in data_indices.csv; the two belong to different corpora.")
        rows.append(known[key])
    return rows
