"""Predictors that have looked at the training split: mean frame, mean sequence, nearest neighbour."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from diffusionrig.errors import RigError, UsageError
from diffusionrig.reactions.corpus import ClipId, Split
from diffusionrig.reactions.interface import ListenerHistory, Mode, Prediction, SpeakerClip

_BLOCK = 5  # frames that are compared as one


@dataclasses.dataclass(frozen=True)
class Constant:
    """The same reaction, (T, 25) and (T, 58), whoever speaks and whatever is said; ``mean_frame`` and ``mean_sequence``."""

    name: str
    emotion: np.ndarray
    coefficients: np.ndarray | None

    def generate(self, speaker: SpeakerClip, listener: ListenerHistory | None, k: int, seed: int, mode: Mode) -> Prediction:
        frames = len(speaker.emotion)
        if frames > len(self.emotion):
            raise RigError(f"{speaker.name} has {frames} frames, but the training clips that {self.name} was made from have "
                           f"{len(self.emotion)}.")
        return Prediction(np.repeat(self.emotion[None, :frames], k, 0),
                          None if self.coefficients is None else np.repeat(self.coefficients[None, :frames], k, 0))


def mean_sequence(train: Split) -> Constant:
    """The mean over the training listeners, frame by frame."""
    return Constant("mean_sequence", _mean(train, train.emotion), _mean(train, train.coefficients) if _has_faces(train) else None)


def mean_frame(train: Split) -> Constant:
    """The mean over the training listeners and all frames, standing still."""
    moving = mean_sequence(train)
    faces = moving.coefficients
    return Constant("mean_frame", _still(moving.emotion), None if faces is None else _still(faces))


def _still(sequence: np.ndarray) -> np.ndarray:
    return np.repeat(sequence.mean(0, dtype=np.float64)[None].astype(np.float32), len(sequence), 0)


def _mean(train: Split, read: Callable[[ClipId], np.ndarray]) -> np.ndarray:
    if train.length is None:
        raise UsageError("The training clips differ in length; give --length to cut them.")
    total = sum(read(item.listener).astype(np.float64) for item in train.items)
    return np.asarray(total / len(train), np.float32)


def _has_faces(split: Split) -> bool:
    return split.path("coefficients", split.items[0].listener).is_file()


class Nearest:
    """The reactions that the listeners of the K most similar training speakers really showed, the nearest first.

    Speakers are compared by their attributes, each divided by its deviation in the training split, in means over 5 frames. Online
    the choice is made anew every 5 frames, by what was seen before.
    """

    name = "nearest"

    def __init__(self, train: Split) -> None:
        if train.length is None:
            raise UsageError("The training clips differ in length; give --length to cut them.")
        self._train = train
        blocks = np.stack([_blocks(train.emotion(item.speaker)) for item in train.items])  # (M, blocks, 25)
        spread = blocks.std((0, 1))
        self._scale = np.where(spread > 0, spread, 1.0)
        self._speakers = blocks / self._scale

    def generate(self, speaker: SpeakerClip, listener: ListenerHistory | None, k: int, seed: int, mode: Mode) -> Prediction:
        frames = len(speaker.emotion)
        if k >= len(self._train):
            raise UsageError(f"There are {len(self._train)} training items, too few for the {k} samples asked for.")
        if frames != self._train.length:
            raise RigError(f"{speaker.name} has {frames} frames, but the training clips have {self._train.length}.")
        shown = _blocks(speaker.emotion) / self._scale
        apart = np.square(self._speakers - shown).sum(-1)  # (M, blocks)
        apart[[str(item.speaker) == speaker.name for item in self._train.items]] = np.inf  # itself, when asked about training clips
        if mode == "offline":
            chosen = np.repeat(np.argsort(apart.sum(1), kind="stable")[:k, None], apart.shape[1], 1)
        else:
            seen = np.concatenate([np.zeros((len(apart), 1)), np.cumsum(apart, 1)[:, :-1]], 1)
            chosen = np.argsort(seen, axis=0, kind="stable")[:k]
        of_frame = np.repeat(chosen, _BLOCK, 1)[:, :frames]
        return Prediction(self._shown(of_frame, self._train.emotion),
                          self._shown(of_frame, self._train.coefficients) if _has_faces(self._train) else None)

    def _shown(self, chosen: np.ndarray, read: Callable[[ClipId], np.ndarray]) -> np.ndarray:
        """What the listeners of items ``chosen`` (K, T) showed, frame by frame: (K, T, D)."""
        clips = {int(m): read(self._train.items[m].listener) for m in np.unique(chosen)}
        made = np.empty((*chosen.shape, next(iter(clips.values())).shape[1]), np.float32)
        for m, clip in clips.items():
            k, t = np.nonzero(chosen == m)
            made[k, t] = clip[t]
        return made


def _blocks(sequence: np.ndarray) -> np.ndarray:
    """Means over 5 frames, (blocks, D) float64; the last block may be shorter."""
    starts = np.arange(0, len(sequence), _BLOCK)
    lengths = np.diff(np.append(starts, len(sequence)))
    return np.add.reduceat(sequence.astype(np.float64), starts, axis=0) / lengths[:, None]
