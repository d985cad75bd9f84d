"""Which speakers behave alike, judged from their attributes: a stand-in where no appropriateness matrix was distributed.

The measure and the threshold behind the matrices of REACT have not been published as code. The rule here is our own: two
speakers are alike when the concordance of their attributes (as in FRCorr, without lag), averaged over the channels that move
in either, reaches a threshold.
"""

from __future__ import annotations

import numpy as np

DEFAULT_THRESHOLD = 0.35
"""On synthetic corpora it separates the classes; on captured ones nobody knows which threshold was used."""

_ROWS_AT_ONCE = 256


def speaker_concordance(behaviour: np.ndarray) -> np.ndarray:
    """Concordance (N, N) float32 in -1..1 of the attributes (N, T, 25): symmetric, 1 on the diagonal."""
    count, frames, channels = behaviour.shape
    mean = behaviour.mean(1, dtype=np.float64)
    variance = behaviour.var(1, dtype=np.float64)
    moves = (behaviour != behaviour[:, :1]).any(1)
    total = np.zeros((count, count), np.float32)
    moving = np.zeros((count, count), np.float32)
    for channel in range(channels):
        # Constant channels are exactly zero here, so that their rounding does not correlate.
        rows = (behaviour[:, :, channel] - mean[:, channel, None]).astype(np.float32) * moves[:, channel, None]
        for start in range(0, count, _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            shared = rows[part] @ rows.T / frames
            apart = (mean[part, channel, None] - mean[:, channel]) ** 2
            total[part] += 2 * shared / (variance[part, channel, None] + variance[:, channel] + apart + 1e-8)
            moving[part] += moves[part, channel, None] | moves[:, channel]
    alike = total / np.maximum(moving, 1)
    alike = (alike + alike.T) / 2
    np.fill_diagonal(alike, 1.0)
    return alike


def similar_speakers(behaviour: np.ndarray, threshold: float) -> np.ndarray:
    """(N, N) bool: pairs of speakers whose concordance reaches ``threshold``. Symmetric, unit diagonal, not transitive."""
    return speaker_concordance(behaviour) >= threshold
