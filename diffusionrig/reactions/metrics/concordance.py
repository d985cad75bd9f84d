"""FRCorr: how well a reaction agrees with the most similar appropriate one, by Lin's concordance.

Per channel, CCC = 2 r s_x s_y / (v_x + v_y + (m_x - m_y)^2) with population moments over time and Pearson's r; over the channels
the mean; over the appropriate listeners the greatest.

official  sum over K; 1e-8 in the denominator; a channel that is constant on either side counts 0, even when both agree; moments
          rounded to float32, as the published code has them. Perfect answers therefore reach K (25 - constant channels) / 25.
fixed     mean over K; the channels that are constant in the real listener are left out (there is nothing to agree with); no
          constant in the denominator; float64. Perfect answers reach 1 exactly, flat ones 0.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from diffusionrig.reactions.metrics.appropriateness import Neighbours
from diffusionrig.reactions.metrics.score import MetricMode, Score, score

MENDED = ("mean over the K samples instead of their sum",
          "channels that are constant in the real listener are left out instead of counting 0",
          "no 1e-8 in the denominator, moments in float64")
_AT_ONCE = 64


@dataclasses.dataclass(frozen=True)
class _Series:
    """Series (B, T, D) taken apart; each array (B, D) but ``centred`` (D, B, T)."""

    centred: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    constant: np.ndarray

    def take(self, index: np.ndarray) -> _Series:
        return _Series(self.centred[:, index], self.mean[index], self.variance[index], self.constant[index])


def _taken_apart(series: np.ndarray) -> _Series:
    values = np.asarray(series, np.float64)
    mean = values.mean(1)
    centred = np.ascontiguousarray((values - mean[:, None]).transpose(2, 0, 1))
    # By comparison, not by variance: the mean of a constant can be off by a rounding, and r would then be noise.
    constant = (values == values[:, :1]).all(1)
    return _Series(centred, mean, np.einsum("dbt,dbt->bd", centred, centred) / values.shape[1], constant)


def _gathered(series: np.ndarray) -> _Series:
    """``_taken_apart``, some clips at a time: 8 bytes a number and no more."""
    number, frames, channels = series.shape
    whole = _Series(np.empty((channels, number, frames)), *(np.empty((number, channels), kind) for kind in (float, float, bool)))
    for start in range(0, number, _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        part = _taken_apart(series[some])
        whole.centred[:, some] = part.centred
        whole.mean[some], whole.variance[some], whole.constant[some] = part.mean, part.variance, part.constant
    return whole


def _channels(x: _Series, y: _Series, mode: MetricMode) -> np.ndarray:
    """(B_x, B_y, D) concordances; NaN marks a channel to leave out."""
    covariance = np.matmul(x.centred, y.centred.transpose(0, 2, 1)).transpose(1, 2, 0) / x.centred.shape[2]
    flat = x.constant[:, None] | y.constant[None]
    spread = np.sqrt(x.variance[:, None] * y.variance[None])
    with np.errstate(divide="ignore", invalid="ignore"):
        r = np.where(flat, 0.0, np.clip(covariance / spread, -1, 1))
    if mode == "official":
        mean_x, mean_y, var_x, var_y = (part.astype(np.float32) for part in (x.mean, y.mean, x.variance, y.variance))
        below = var_x[:, None] + var_y[None] + (mean_x[:, None] - mean_y[None]) ** 2 + np.float32(1e-8)
        return 2 * r * np.sqrt(x.variance).astype(np.float32)[:, None] * np.sqrt(y.variance).astype(np.float32)[None] / below
    below = x.variance[:, None] + y.variance[None] + (x.mean[:, None] - y.mean[None]) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(y.constant[None], np.nan, np.where(flat, 0.0, 2 * r * spread / below))


def concordance(x: np.ndarray, y: np.ndarray, mode: MetricMode) -> np.ndarray:
    """The CCC of each series of ``x`` (B_x, T, D) with each of ``y`` (B_y, T, D), as a mean over channels: (B_x, B_y)."""
    return _mean_over_channels(_channels(_taken_apart(x), _taken_apart(y), mode))


def _mean_over_channels(values: np.ndarray) -> np.ndarray:
    counted = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(counted, values, 0.0).sum(-1) / counted.sum(-1)


def frcorr(predictions: np.ndarray, listeners: np.ndarray, neighbours: Neighbours, mode: MetricMode) -> Score:
    """FRCorr of ``predictions`` (N, K, T, D) against the real ``listeners`` (N, T, D); higher is better.

    An item whose appropriate listeners are all constant in every channel is not defined in fixed mode.
    """
    real = _gathered(listeners)
    items = np.empty(len(predictions))
    for n in range(len(predictions)):
        made = _taken_apart(predictions[n])
        best = np.full(len(made.mean), np.nan)
        for start in range(0, len(neighbours[n]), _AT_ONCE):
            there = real.take(neighbours[n][start:start + _AT_ONCE])
            agreement = _mean_over_channels(_channels(made, there, mode))
            best = np.fmax(best, np.fmax.reduce(agreement, axis=1))
        items[n] = best.sum() if mode == "official" else best.mean()
    return score("FRCorr", mode, items)
