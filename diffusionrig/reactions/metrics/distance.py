"""FRDist: how far a reaction is from the nearest appropriate one, by dynamic time warping.

d = 1/15 DTW(action units) + DTW(valence, arousal) + 1/8 DTW(expressions); over the appropriate listeners the least.

official  sum over K.
fixed     mean over K, the distance of one reaction.

Both are exact. Work is saved, never rounded away: the distance without warping bounds d from above and says in which order to try
the neighbours, and a neighbour is left as soon as it cannot be the nearest any more. (Bounds from below by boxes around pieces of
the series, or by the least cost of each frame, were tried: they reach 0.04 and 0.5 of d, too little to save anything.)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from diffusionrig.reactions.metrics.appropriateness import Neighbours
from diffusionrig.reactions.metrics.score import MetricMode, Score, score

MENDED = ("mean over the K samples instead of their sum",)
GROUPS = ((slice(15, 17), 1.0), (slice(17, 25), 1 / 8), (slice(0, 15), 1 / 15))
"""Channels and weight of each part of d, the cheapest first."""
Warp = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
_ROWS = 128  # reactions worked on together


@dataclasses.dataclass
class _Search:
    """One reaction (T, 25) on its way: ``order`` is in which order to try the neighbours, ``best`` the least d so far."""

    reaction: np.ndarray
    order: np.ndarray
    best: float


def frdist(predictions: np.ndarray, listeners: np.ndarray, neighbours: Neighbours, mode: MetricMode, warp: Warp) -> Score:
    """FRDist of ``predictions`` (N, K, T, 25) against the real ``listeners`` (N, T, 25); lower is better.

    ``warp(x, y, budgets)`` is ``warping.warp`` or its counterpart for GPUs.
    """
    items = np.empty(len(predictions))
    samples = predictions.shape[1]
    for chunk in _chunks(len(predictions), max(1, _ROWS // samples)):
        searches = [search for n in chunk for search in _prepared(np.asarray(predictions[n]), listeners, neighbours[n])]
        _settle(searches, listeners, warp)
        distances = np.array([search.best for search in searches]).reshape(len(chunk), samples)
        items[chunk.start:chunk.stop] = distances.sum(1) if mode == "official" else distances.mean(1)
    return score("FRDist", mode, items)


def _chunks(number: int, size: int) -> Iterator[range]:
    return (range(start, min(start + size, number)) for start in range(0, number, size))


def _prepared(samples: np.ndarray, listeners: np.ndarray, neighbours: np.ndarray) -> list[_Search]:
    """The searches of one item's K reactions (K, T, 25)."""
    unwarped = np.empty((len(samples), len(neighbours)))
    for at, j in enumerate(neighbours):
        squares = np.square(samples.astype(np.float64) - listeners[j])
        unwarped[:, at] = sum(weight * np.sqrt(squares[..., part].sum((1, 2))) for part, weight in GROUPS)
    order = np.argsort(unwarped, axis=1, kind="stable")
    return [_Search(reaction, neighbours[order[k]], float(unwarped[k].min())) for k, reaction in enumerate(samples)]


def _settle(searches: list[_Search], listeners: np.ndarray, warp: Warp) -> None:
    """Find the nearest neighbour of every search, one neighbour of each at a time."""
    rank = 0
    while True:
        searches = [one for one in searches if rank < len(one.order) and one.best > 0]
        if not searches:
            return
        distances, going = np.zeros(len(searches)), np.arange(len(searches))
        best = np.array([one.best for one in searches])
        for part, weight in GROUPS:
            x = np.stack([searches[i].reaction[:, part] for i in going])
            y = np.stack([listeners[searches[i].order[rank]][:, part] for i in going])
            distances[going] += weight * warp(x, y, (best[going] - distances[going]) / weight)
            going = going[distances[going] <= best[going]]
            if not len(going):
                break
        for i in going:
            searches[i].best = min(searches[i].best, float(distances[i]))
        rank += 1


def in_mode(known: Score, mode: MetricMode, samples: int) -> Score:
    """``known`` in the other mode: a mean over K instead of a sum, or the reverse."""
    factor = 1.0 if known.mode == mode else (1 / samples if mode == "fixed" else float(samples))
    return score(known.name, mode, known.items * factor)
