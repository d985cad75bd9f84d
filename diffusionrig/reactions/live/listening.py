"""What a generator offers that can be fed frame by frame, and the loop that feeds it and measures how long answers take."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import numpy as np

from diffusionrig.reactions.interface import Prediction


@dataclasses.dataclass(frozen=True)
class SpeakerFrame:
    """coefficients (58,) float32, absolute; sound (n,) float32 in -1..1, the frame's own samples, None where there is none."""

    coefficients: np.ndarray
    sound: np.ndarray | None = None


class LiveReaction(Protocol):
    """One listener of one speaker. Reactions come in patches of frames, each before the speaker shows the same frames."""

    patch: int

    def begin(self) -> Prediction:
        """The first patch (1, patch, ...), before anything is known of the speaker."""
        ...

    def hear(self, frame: SpeakerFrame) -> Prediction | None:
        """Take the speaker's next frame; the next patch when this frame was the last of one."""
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
