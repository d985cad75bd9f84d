"""Checking a set of predictions before anything is scored, without loading it whole."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from diffusionrig.errors import RigError
from diffusionrig.reactions.corpus.attributes import COLUMNS


@dataclasses.dataclass(frozen=True)
class Facts:
    """samples, frames  K and T
    binary_aus       whether every action unit is 0 or 1
    lowest, highest  over everything
    still_tail       frames at the end in which every prediction is 0 throughout
    """

    samples: int
    frames: int
    binary_aus: bool
    lowest: float
    highest: float
    still_tail: int

    @property
    def scale(self) -> str:
        kind = "binary" if self.binary_aus else "soft"
        return f"raw, {self.lowest:.3g} to {self.highest:.3g}, action units {kind}"

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def check_predictions(predictions: np.ndarray, items: int, frames: int, where: str) -> Facts:
    """Facts about ``predictions``; RigError unless they are (items, K, frames, 25) finite numbers."""
    shape = predictions.shape
    if predictions.ndim != 4 or shape[3] != len(COLUMNS) or 0 in shape:
        raise RigError(f"{where} has the shape {shape}, but (items, samples, frames, {len(COLUMNS)}) is needed; write it with "
                       "'diffusionrig react predict'.")
    if shape[0] != items:
        half = " (the rows of the list, but not the same with the roles exchanged)" if 2 * shape[0] == items else ""
        raise RigError(f"{where} holds {shape[0]} items{half}, but the split has {items} in mirrored order; predict all of them.")
    if shape[2] != frames:
        advice = f"score the first {shape[2]} of both with --frames {shape[2]}" if shape[2] < frames else \
            "cut the predictions, or open the corpus at its full length"
        raise RigError(f"{where} has {shape[2]} frames a clip, but the corpus has {frames}; {advice}.")
    binary, low, high, tail = True, np.inf, -np.inf, frames
    for n in range(items):
        clip = np.asarray(predictions[n])
        wrong = np.argwhere(~np.isfinite(clip))
        if len(wrong):
            k, t, c = map(int, wrong[0])
            raise RigError(f"{where} holds {clip[k, t, c]} at item {n}, sample {k}, frame {t}, {COLUMNS[c]}; nothing can be scored "
                           "until it is predicted again.")
        units = clip[..., :15]
        binary = binary and bool(((units == 0) | (units == 1)).all())
        low, high = min(low, float(clip.min())), max(high, float(clip.max()))
        moving = np.flatnonzero((clip != 0).any((0, 2)))
        tail = min(tail, frames - 1 - int(moving[-1]) if len(moving) else frames)
    return Facts(shape[1], frames, binary, low, high, tail if tail < frames else 0)
