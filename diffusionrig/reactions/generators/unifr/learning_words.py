"""Building a vocabulary from the frames of a training split: patterns, occupied cells, k-means centres."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from diffusionrig.randomness import numpy_stream
from diffusionrig.reactions.corpus import Split
from diffusionrig.reactions.generators.unifr.vocabulary import CHANNELS, Vocabulary, nearest

_ROUNDS, _FRAMES = 25, 200_000


def learn_vocabulary(split: Split, words: dict[str, int], bins: int, seed: int, compat: bool = False) -> Vocabulary:
    """At most ``words`` of each stream from the listeners of ``split``; the grid of valence and arousal has ``bins`` on a side.

    Patterns and cells are the most frequent ones. Action units that are intensities rather than 0 or 1 get k-means centres.
    """
    emotion = np.concatenate([split.emotion(clip) for clip in sorted({item.listener for item in split.items})])
    units, va, exp = (emotion[:, CHANNELS[name]] for name in ("AU", "VA", "exp"))
    if np.isin(units, (0, 1)).all():
        book = _frequent(units, words["AU"])
    else:
        book = kmeans(units, words["AU"], seed, "AU")
    cells = np.clip(np.floor((va.astype(np.float64) + 1) / 2 * bins), 0, bins - 1)
    centres = (_frequent(cells, words["VA"]) + 0.5) * (2 / bins) - 1
    return Vocabulary(torch.from_numpy(book), torch.from_numpy(kmeans(exp, words["exp"], seed, "exp")), torch.from_numpy(centres),
                      2 / bins, compat)


def _frequent(rows: np.ndarray, limit: int) -> np.ndarray:
    """The ``limit`` most frequent distinct rows, the most frequent first, equals in the order of their values."""
    distinct, counts = np.unique(rows, axis=0, return_counts=True)
    return distinct[np.argsort(-counts, kind="stable")[:limit]]


def kmeans(points: np.ndarray, k: int, seed: int, name: str) -> np.ndarray:
    """At most ``k`` centres (k, D) float32 of ``points`` (N, D): Lloyd's rounds from distinct points drawn at random."""
    stream = numpy_stream(seed, "words", name)
    if len(points) > _FRAMES:
        points = points[np.sort(stream.choice(len(points), _FRAMES, replace=False))]
    distinct = np.unique(points, axis=0)
    if len(distinct) <= k:
        return distinct.astype(np.float32)
    data = torch.from_numpy(np.ascontiguousarray(points)).float()
    centres = torch.from_numpy(distinct[np.sort(stream.choice(len(distinct), k, replace=False))]).float()
    for _ in range(_ROUNDS):
        moved = _means(data, centres)
        if torch.equal(moved, centres):
            break
        centres = moved
    return centres.numpy()


def _means(data: Tensor, centres: Tensor) -> Tensor:
    """One round; a centre to which no point is nearest stays."""
    owner = torch.cat([nearest(part, centres) for part in data.split(4096)])
    count = torch.bincount(owner, minlength=len(centres))[:, None]
    total = torch.zeros_like(centres).index_add_(0, owner, data)
    return torch.where(count > 0, total / count.clamp(min=1), centres)
