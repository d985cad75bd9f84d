"""What a generator offers that can be fed frame by frame, and the loop that feeds it and measures how long answers take."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, runtime_checkable

import numpy as np

from diffusionrig.reactions.features.logmel import BANDS, FLOOR, log_mel
from diffusionrig.reactions.interface import Prediction


@dataclasses.dataclass(frozen=True)
class SpeakerFrame:
    """coefficients (58,) float32, absolute; sound (n,) float32 in -1..1, the frame's own samples; emotion (25,) float32; None where
    there is none."""

    coefficients: np.ndarray
    sound: np.ndarray | None = None
    emotion: np.ndarray | None = None

    def log_mel(self, rate: int, fps: float) -> np.ndarray:
        """(26,) log-mel energies of the frame's own samples at ``rate`` hertz; a frame without sound is silent, a short one is
        filled up."""
        if self.sound is None or not len(self.sound):
            return np.full(BANDS, np.log(FLOOR), np.float32)
        return log_mel(self.sound[:round(rate / fps)], rate, fps)[0]


class LiveReaction(Protocol):
    """One listener of one speaker. Reactions come in patches of frames, each before the speaker shows the same frames."""

    patch: int

    def begin(self) -> Prediction:
        """The first patch (1, patch, ...), before anything is known of the speaker."""
        ...

    def hear(self, frame: SpeakerFrame) -> Prediction | None:
        """Take the speaker's next frame; the next patch when this frame was the last of one."""
        ...


@runtime_checkable
class LiveGenerator(Protocol):
    """A generator that can be fed frame by frame."""

    def live(self, name: str, seed: int, rate: int = 16000, fps: float = 25.0) -> LiveReaction:
        """A listener of the speaker ``name``, who hears sound at ``rate`` hertz. UsageError when this model cannot be fed so."""
        ...

    def face_at_rest(self) -> np.ndarray:
        """(58,) the mean face, which coefficients are drawn about."""
        ...


@dataclasses.dataclass(frozen=True)
class Answer:
    """A patch that begins at frame ``first``: emotion (patch, 25), coefficients (patch, 58), and ``seconds`` since the arrival of
    the speaker's frame that it waited for."""

    first: int
    emotion: np.ndarray
    coefficients: np.ndarray
    seconds: float

    @property
    def seconds_per_frame(self) -> float:
        return self.seconds / len(self.emotion)


def converse(reaction: LiveReaction, frames: Iterable[SpeakerFrame],
             show: Callable[[int, np.ndarray], None] | None = None) -> Iterator[Answer]:
    """Answers to ``frames`` as they come. ``show`` (first frame, coefficients (patch, 58)) draws; its time counts."""
    first, began = 0, time.perf_counter()
    made: Prediction | None = reaction.begin()
    arrivals = iter(frames)
    while True:
        if made is not None:
            assert made.coefficients is not None
            if show is not None:
                show(first, made.coefficients[0])
            yield Answer(first, made.emotion[0], made.coefficients[0], time.perf_counter() - began)
            first += made.emotion.shape[1]
        frame = next(arrivals, None)
        if frame is None:
            return
        began = time.perf_counter()
        made = reaction.hear(frame)
