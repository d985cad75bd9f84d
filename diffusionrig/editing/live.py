"""Live edits: frames of a driver in, pictures out, the latest first. Knows neither where frames come from nor where pictures go.

    frame --offer--> [newest] --see--> what moves --> [newest] --paint--> picture --> show

Seeing (finding the face, reading its movement) must not miss more frames than it has to, since it follows a face from frame to
frame; drawing takes several times as long and only needs the latest of what was seen. So each has a thread and a bounded queue of
its own, and both drop what is too old.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np

from diffusionrig.editing.live_figures import LiveFigures, Summary
from diffusionrig.editing.live_stage import Stage

Seen = TypeVar("Seen")


@dataclasses.dataclass(frozen=True)
class Frame:
    """``image`` (H, W, 3) uint8; ``number`` among the frames offered, from 0; ``at``, its time in seconds on the sender's clock;
    ``arrived``, when it came, on ours."""

    image: np.ndarray
    number: int
    at: float
    arrived: float


@dataclasses.dataclass(frozen=True)
class Drawn:
    """``picture`` (S, S, 3) uint8 of the frame ``number``, whose time is ``at``; ``latency``, seconds since it came."""

    picture: np.ndarray
    number: int
    at: float
    latency: float


class LiveEdit(Generic[Seen]):
    """Offer frames from one thread, never waiting; ``show`` is told of each picture, in the order of the frames.

    see        what a frame shows that moves; None when it does not show the person
    paint      the picture (S, S, 3) uint8 of what was seen
    show       takes a picture; called in a thread of this object, so its time counts
    room       frames that may wait before each of the two steps, one or more; one keeps the latency lowest
    pipelined  the two steps run side by side; on a single core one after the other is quicker
    patient    for frames that can wait, such as those of a file: ``offer`` waits for room, and none is dropped
    What a step raises ends the work, and is raised by the next ``offer`` or by ``finish``.
    """

    def __init__(self, see: Callable[[Frame], Seen | None], paint: Callable[[Seen], np.ndarray], show: Callable[[Drawn], None],
                 room: int = 1, pipelined: bool = True, patient: bool = False) -> None:
        self._see, self._paint, self._show, self._patient = see, paint, show, patient
        self._figures = LiveFigures()
        self._count, self._start = 0, 0.0
        self._drawing: Stage[tuple[Frame, Seen]] | None = Stage(self._draw, room) if pipelined else None
        self._seeing = Stage(self._look, room)

    def offer(self, image: np.ndarray, at: float | None = None) -> int:
        """Hand over the next frame, (H, W, 3) uint8; returns its number. ``at`` in seconds does not fall from frame to frame; left
        out, it is counted from the arrival of the first."""
        now = time.perf_counter()
        self._start = self._start if self._count else now
        frame = Frame(image, self._count, now - self._start if at is None else at, now)
        self._count += 1
        self._figures.came()
        self._figures.missed(len(self._seeing.offer(frame, self._patient)))
        return frame.number

    def finish(self, forget: bool = False) -> Summary:
        """End, when what waits is drawn, or without drawing it if ``forget``; how it went."""
        try:
            self._figures.missed(len(self._seeing.finish(forget)))
        finally:
            if self._drawing is not None:
                self._figures.missed(len(self._drawing.finish(forget)))
        return self.summary()

    def summary(self) -> Summary:
        """How it goes so far."""
        return self._figures.summary()

    def _look(self, frame: Frame) -> None:
        seen = self._see(frame)
        if seen is None:
            self._figures.missed(unseen=1)
        elif self._drawing is None:
            self._draw((frame, seen))
        else:
            self._figures.missed(len(self._drawing.offer((frame, seen), self._patient)))

    def _draw(self, item: tuple[Frame, Seen]) -> None:
        frame, seen = item
        picture = self._paint(seen)
        now = time.perf_counter()
        drawn = Drawn(picture, frame.number, frame.at, now - frame.arrived)
        self._figures.made(drawn.latency, now - self._start)
        self._show(drawn)
