"""FRSyn: by how many frames a reaction lags behind its speaker, as the peak of the time-lagged cross correlation.

For lags of -49 to 49 frames (below 2 s at 25 fps): Pearson's r of the overlapping parts, p[l:] with s[:-l] for l > 0 and p[:l] with
s[-l:] for l < 0, mean over the channels; the lag of the first maximum. A positive lag says that the listener follows. Lower is
better.

official  the first sample of each item only, as the published code returns from within its loop; scores in float32; a channel that
          is constant in a window makes the score of that lag NaN, and the first NaN counts as the maximum. One channel that never
          moves, in the listener or in the speaker, therefore gives 49, which means "degenerate" rather than "slow".
fixed     all samples; channels that are constant in a window are left out there; float64; items without any score are left out.
"""

from __future__ import annotations

import numpy as np

from diffusionrig.reactions.metrics.score import MetricMode, Score, score

MENDED = ("all K samples instead of the first only",
          "channels that are constant in a window are left out instead of turning the result into 49",
          "float64 instead of float32 where two lags are almost equal")
LONGEST_LAG = 49
_CANCELLED = 1e-7  # a window with less than this share of its series' energy is taken again from its own mean


def lag_scores(predictions: np.ndarray, speaker: np.ndarray, skip_constant: bool) -> np.ndarray:
    """Mean r over channels by lag -49 .. 49 (shorter for clips of under 51 frames) for ``predictions`` (K, T, D) and ``speaker``
    (T, D): (K, 2 longest + 1). NaN where a channel is constant, or with ``skip_constant`` where all are."""
    r = _correlations(predictions, speaker)
    with np.errstate(invalid="ignore"):
        if skip_constant:
            counted = ~np.isnan(r)
            return np.where(counted, r, 0.0).sum(-1) / counted.sum(-1)
        return r.astype(np.float32).mean(-1, dtype=np.float32)


def longest_lag(frames: int) -> int:
    """The longest lag that leaves two frames of overlap, at most 49."""
    return max(0, min(LONGEST_LAG, frames - 2))


def _correlations(predictions: np.ndarray, speaker: np.ndarray) -> np.ndarray:
    """(K, lags, D) Pearson's r, NaN where either window is constant."""
    frames = speaker.shape[0]
    longest = longest_lag(frames)
    lags = np.arange(-longest, longest + 1)
    made, said = np.asarray(predictions, np.float64), np.asarray(speaker, np.float64)
    p = np.ascontiguousarray((made - made.mean(1, keepdims=True)).transpose(2, 0, 1))  # (D, K, T)
    s = np.ascontiguousarray((said - said.mean(0)).T)  # (D, T)
    # shifted[d, l, t] = s[d, t - l], zero outside: one product of matrices then gives every window's sum of p s.
    padded = np.pad(s, ((0, 0), (longest, longest)))
    shifted = np.lib.stride_tricks.sliding_window_view(padded, frames, axis=1)[:, ::-1]
    crossed = np.matmul(p, shifted.transpose(0, 2, 1)).transpose(1, 2, 0)  # (K, lags, D)
    first, last = np.maximum(lags, 0), frames + np.minimum(lags, 0)  # window of p
    window_p, window_s = _windows(p, first, last), _windows(s[:, None], first - lags, last - lags)
    n = (last - first)[None, :, None]
    vary_p, vary_s = (squares - sums ** 2 / n for sums, squares, _, _ in (window_p, window_s))
    with np.errstate(divide="ignore", invalid="ignore"):
        r = (crossed - window_p[0] * window_s[0] / n) / np.sqrt(vary_p * vary_s)
    flat = window_p[2] | window_s[2]
    unsure = ~flat & ((vary_p < _CANCELLED * window_p[3]) | (vary_s < _CANCELLED * window_s[3]))
    for k, at, d in np.argwhere(unsure):
        a, b = made[k, first[at]:last[at], d], said[first[at] - lags[at]:last[at] - lags[at], d]
        a, b = a - a.mean(), b - b.mean()
        r[k, at, d] = (a @ b) / np.sqrt((a @ a) * (b @ b))
    return np.where(flat, np.nan, np.clip(r, -1, 1))


def _windows(series: np.ndarray, first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of ``series`` (D, B, T) within frames first .. last - 1 of each lag: sums, sums of squares, whether constant, each (B, lags,
    D), and the squares of the whole series (B, 1, D)."""
    def running(values: np.ndarray) -> np.ndarray:
        return np.concatenate([np.zeros((*values.shape[:2], 1), values.dtype), np.cumsum(values, -1)], -1)

    def within(sums: np.ndarray, shift: int = 0) -> np.ndarray:
        return (sums[..., last - shift] - sums[..., first]).transpose(1, 2, 0)

    changes = running((series[..., 1:] != series[..., :-1]).astype(np.int64))
    squares = running(series ** 2)
    return within(running(series)), within(squares), within(changes, 1) == 0, squares[..., -1].T[:, None]


def frsyn(predictions: np.ndarray, speakers: np.ndarray, mode: MetricMode) -> Score:
    """FRSyn of ``predictions`` (N, K, T, D) against ``speakers`` (N, T, D). ``details``: the mean signed lag (positive: the
    listener follows) and the share of scored samples whose score was not defined."""
    items, signed, undefined = np.empty(len(predictions)), [], 0
    for n in range(len(predictions)):
        clip = predictions[n] if mode == "fixed" else predictions[n][:1]
        scores = lag_scores(clip, speakers[n], skip_constant=mode == "fixed")
        half = scores.shape[1] // 2
        missing = np.isnan(scores)
        if mode == "official":
            offsets = np.where(missing.any(1), missing.argmax(1), np.nan_to_num(scores, nan=-np.inf).argmax(1)) - half
            undefined += int(missing.any(1).sum())
        else:
            offsets = np.nan_to_num(scores[~missing.all(1)], nan=-np.inf).argmax(1) - half
            undefined += int(missing.all(1).sum())
        items[n] = np.abs(offsets).mean() if len(offsets) else np.nan
        signed += offsets.tolist()
    scored = len(predictions) * (predictions.shape[1] if mode == "fixed" else 1)
    return score("FRSyn", mode, items, signed_lag=float(np.mean(signed)) if signed else float("nan"),
                 degenerate_share=undefined / scored)
