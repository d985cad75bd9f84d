"""FRDiv, FRDvs, FRVar: how different the reactions are from one another, and how much they move.

Sums over pairs come from  sum over ordered pairs |a - b|^2 = 2 K sum |a|^2 - 2 |sum a|^2,  in float64 about a near point, so that
nothing is cancelled and the cost is linear in K and N.

Both modes agree but where the published code divides by nothing: FRDiv of K = 1 is 0 there and undefined in fixed mode.
"""

from __future__ import annotations

import numpy as np

from diffusionrig.reactions.metrics.score import MetricMode, Score, score

MENDED = {"FRDiv": ("with one sample it is undefined instead of 0",), "FRDvs": (), "FRVar": ()}


def frdiv(predictions: np.ndarray, mode: MetricMode) -> Score:
    """FRDiv: mean squared difference between two samples of one item. ``predictions`` (N, K, T, D); higher is more diverse."""
    count = predictions.shape[1]
    if count == 1:
        return score("FRDiv", mode, np.full(len(predictions), 0.0 if mode == "official" else np.nan))
    items = np.empty(len(predictions))
    for n in range(len(predictions)):
        samples = np.asarray(predictions[n], np.float64).reshape(count, -1)
        samples = samples - samples.mean(0)
        # About their mean the samples sum to zero, so the second term is gone.
        items[n] = 2 * count * np.einsum("kx,kx->", samples, samples) / (count * (count - 1) * samples.shape[1])
    return score("FRDiv", mode, items)


def frdvs(predictions: np.ndarray, mode: MetricMode) -> Score:
    """FRDvs: mean squared difference between the same sample of two items; higher is more diverse across speakers.

    ``predictions`` (N, K, T, D) is read twice, item by item. Undefined for one item.
    """
    number = len(predictions)
    if number == 1:
        return score("FRDvs", mode, np.array([np.nan]))
    origin = np.asarray(predictions[0], np.float64)
    total, squares = np.zeros_like(origin), np.zeros(number)
    for n in range(number):
        from_origin = np.asarray(predictions[n], np.float64) - origin
        total += from_origin
        squares[n] = np.vdot(from_origin, from_origin)
    crossed = np.array([np.vdot(np.asarray(predictions[n], np.float64) - origin, total) for n in range(number)])
    return score("FRDvs", mode, (number * squares + squares.sum() - 2 * crossed) / ((number - 1) * origin.size))


def frvar(predictions: np.ndarray, mode: MetricMode) -> Score:
    """FRVar: variance over time (ddof 1), mean over samples and channels; higher is more movement. Undefined for one frame."""
    if predictions.shape[2] == 1:
        return score("FRVar", mode, np.full(len(predictions), np.nan))
    return score("FRVar", mode, np.array([np.asarray(clip, np.float64).var(1, ddof=1).mean() for clip in predictions]))
