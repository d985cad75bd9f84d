"""What predictions are held against: what every speaker showed, how every listener answered, and who suits whom."""

from __future__ import annotations

import dataclasses

import numpy as np

from diffusionrig.errors import UsageError
from diffusionrig.reactions.corpus import Split
from diffusionrig.reactions.corpus.mars import target_lists
from diffusionrig.reactions.metrics.appropriateness import Neighbours, neighbours_of


@dataclasses.dataclass(frozen=True)
class Truth:
    """speakers, listeners  (N, T, 25) float32 in mirrored order
    neighbours           per item, the items whose listeners' reactions suit its speaker
    matrix               hash of the items and of who suits whom
    """

    speakers: np.ndarray
    listeners: np.ndarray
    neighbours: Neighbours
    matrix: str

    @property
    def frames(self) -> int:
        return int(self.speakers.shape[1])


def read_truth(split: Split, frames: int | None = None) -> Truth:
    """The truth of ``split``, its clips cut to ``frames`` (None: the length of the corpus). About 75 kB an item of 750 frames.

    MARS has no matrix that is scored whole: there the targets are the listener's own reaction and nine others of its session.
    """
    length = frames or split.length
    if length is None:
        raise UsageError(f"The clips of {split.name} differ in length; say with --frames how many frames of each to score.")
    if split.length is not None and length > split.length:
        raise UsageError(f"--frames is {length}, but the clips of {split.name} have {split.length} frames.")
    speakers = np.empty((len(split), length, 25), np.float32)
    for item in split.items:
        shown = split.emotion(item.speaker)
        if len(shown) < length:
            raise UsageError(f"{item.speaker} has {len(shown)} frames, but {length} are scored; choose fewer with --frames.")
        speakers[item.index] = shown[:length]
    listeners = speakers[[split.partner(item.index) for item in split.items]]
    targets = ([np.array(chosen) for chosen in target_lists(split)] if split.matrix_path is None
               else neighbours_of(split.matrix(), len(split)))
    return Truth(speakers, listeners, targets, split.hash)
