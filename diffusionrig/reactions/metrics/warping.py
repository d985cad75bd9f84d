"""Dynamic time warping of many pairs of series at once, exact, in NumPy.

Unconstrained, steps (1,0), (0,1), (1,1), cost of a cell = squared Euclidean distance, result = square root of the least sum. Cells
on one anti-diagonal do not depend on each other, so a diagonal of all pairs is three NumPy calls. The table is worked through in
bands of rows: its costs come from one product of matrices per pair, written so that a diagonal lies in one piece, and stay in the
cache.

Every path crosses every row, so the least sum in a row bounds the result from below: a pair whose bound exceeds its budget is
abandoned after the band, with infinity as its answer.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

_PAIRS = 32  # pairs worked on together by one thread
_BAND = 128  # rows between two looks at the budgets
_BLAS_STARTS_THREADS = 1 << 18  # products with fewer multiplications stay in the calling thread
_Costs = Callable[[np.ndarray, np.ndarray, np.ndarray], None]
_ROUNDING = 1e-6  # sums below this are taken again from differences: |x|^2 - 2 x y + |y|^2 has lost their digits


def warp(x: np.ndarray, y: np.ndarray, budgets: np.ndarray | None = None, threads: int = 1) -> np.ndarray:
    """DTW of ``x`` (B, T, D) with ``y`` (B, U, D), pair by pair: (B,) float64; inf for pairs that exceed their ``budgets`` (B,)."""
    limits = np.full(len(x), np.inf) if budgets is None else (np.asarray(budgets) * (1 + 1e-9) + 1e-9) ** 2
    parts = [slice(start, start + _PAIRS) for start in range(0, len(x), _PAIRS)]
    if len(parts) < threads:
        step = max(1, -(-len(x) // threads))
        parts = [slice(start, start + step) for start in range(0, len(x), step)]

    def work(part: slice) -> np.ndarray:
        return _warp_together(x[part], y[part], limits[part])

    if threads > 1 and len(parts) > 1:
        with ThreadPoolExecutor(threads) as pool:
            sums = list(pool.map(work, parts))
    else:
        sums = [work(part) for part in parts]
    return np.sqrt(np.concatenate(sums)) if sums else np.zeros(0)


def _warp_together(x: np.ndarray, y: np.ndarray, limits: np.ndarray) -> np.ndarray:
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    sums = _least_sums(x, y, limits, _by_product)
    small = np.flatnonzero(sums < _ROUNDING)
    if len(small):
        sums[small] = _least_sums(x[small], y[small], limits[small], _by_differences)
    return sums


def _least_sums(x: np.ndarray, y: np.ndarray, limits: np.ndarray, costs_of: _Costs) -> np.ndarray:
    pairs, frames, _ = x.shape
    wide = y.shape[1]
    band = min(_BAND, frames)
    # One buffer for all bands: fresh memory would cost as much as the work done in it.
    buffer = np.empty((band + wide - 1) * band * pairs)
    sums = np.full(pairs, np.inf)
    alive = np.arange(pairs)
    above = np.full((wide + 1, pairs), np.inf)  # the row above the band, from column -1
    above[0] = 0.0
    for start in range(0, frames, band):
        rows = min(band, frames - start)
        costs = buffer[:(rows + wide - 1) * rows * len(alive)].reshape(rows + wide - 1, rows, len(alive))
        along_column, along_row, along_pairs = costs.strides
        # costs[i + j, i] is cell (i, j): a diagonal lies in one piece. Entries without a cell stay as they are and are not read.
        cells = np.lib.stride_tricks.as_strided(costs, (rows, wide, len(alive)),
                                                (along_column + along_row, along_column, along_pairs))
        costs_of(x[alive, start:start + rows], y[alive], cells)
        above = _through_band(costs, above)
        going = above.min(0) <= limits[alive]
        if not going.all():
            alive, above = alive[going], np.ascontiguousarray(above[:, going])
        if not len(alive):
            return sums
    sums[alive] = np.where(above[wide] <= limits[alive], above[wide], np.inf)
    return sums


def _by_product(x: np.ndarray, y: np.ndarray, cells: np.ndarray) -> None:
    """Squared distances of x (B, R, D) and y (B, U, D) into ``cells`` (R, U, B): [x, |x|^2, 1] . [-2 y, 1, |y|^2]."""
    pairs, rows, _ = x.shape
    wide = y.shape[1]
    left = np.concatenate([x, np.square(x).sum(-1, keepdims=True), np.ones((pairs, rows, 1))], -1)
    right = np.concatenate([-2 * y, np.ones((pairs, wide, 1)), np.square(y).sum(-1, keepdims=True)], -1)
    right = np.ascontiguousarray(right.transpose(0, 2, 1))
    some = max(1, min(8, _BLAS_STARTS_THREADS // (left.shape[2] * wide + 1)))
    product = np.empty((pairs, some, wide))
    for i in range(0, rows, some):
        block = product[:, :min(some, rows - i)]
        np.matmul(left[:, i:i + some], right, out=block)
        cells[i:i + some] = block.transpose(1, 2, 0)


def _by_differences(x: np.ndarray, y: np.ndarray, cells: np.ndarray) -> None:
    """The same, every digit right, at several times the cost."""
    cells[:] = 0.0
    for d in range(x.shape[2]):
        cells += np.square(x[:, :, None, d] - y[:, None, :, d]).transpose(1, 2, 0)


def _through_band(costs: np.ndarray, above: np.ndarray) -> np.ndarray:
    """The last row of least sums of a band, (U + 1, B) from column -1, given the row ``above`` it in the same form."""
    rows, pairs = costs.shape[1:]
    wide = len(above) - 1
    below = np.full_like(above, np.inf)
    older, old, new = (np.full((rows + 1, pairs), np.inf) for _ in range(3))  # diagonals; index 0 is the row above
    older[0], old[0] = above[0], above[1]
    for t in range(rows + wide - 1):
        low, high = max(0, t - wide + 1), min(rows, t + 1)
        cells = new[low + 1:high + 1]
        np.minimum(old[low:high], old[low + 1:high + 1], out=cells)
        np.minimum(cells, older[low:high], out=cells)
        np.add(cells, costs[t, low:high], out=cells)
        # What lies left of column 0, or right of the last one, is no cell; the row above goes on while it has columns.
        new[low] = above[t + 2] if t + 2 <= wide else np.inf
        if high == rows:
            below[t - rows + 2] = new[rows]
        if high < rows:
            new[high + 1] = np.inf
        older, old, new = old, new, older
    return below
