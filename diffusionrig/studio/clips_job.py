"""A clip that is being drawn in the background: how far it is, how fast, and how it ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from diffusionrig.studio.drawing import Cancelled

BETWEEN = 0.15
"""Seconds between two words to the pages about how far a job is."""


class Job:
    """``number`` of the job, drawn for ``person``. Its thread tells it how far it is; that is where Cancelled is raised."""

    def __init__(self, number: int, person: str, changed: Callable[[], None], shown: Callable[[Sequence[bytes]], None]) -> None:
        """``changed`` and ``shown``, which takes the latest pictures as JPEGs, are called in the job's own thread."""
        self.number, self.person = number, person
        self._changed, self._shown = changed, shown
        self.phase, self.done, self.total = "waiting", 0, 0
        self.ended, self.error = "", ""
        self._cancelled = threading.Event()
        self._began = self._told = time.monotonic()
        self._stopped: float | None = None

    # In the thread.

    def begin(self, phase: str, total: int) -> None:
        """A phase of ``total`` frames begins."""
        self.check()
        self.phase, self.done, self.total, self._began = phase, 0, total, time.monotonic()
        self._changed()

    def step(self, count: int = 1) -> None:
        """So many more frames of the phase are done."""
        self.check()
        self.done += count
        if time.monotonic() - self._told >= BETWEEN:
            self._told = time.monotonic()
            self._changed()

    def show(self, pictures: Sequence[bytes]) -> None:
        """The latest pictures."""
        self._shown(pictures)

    def check(self) -> None:
        """Cancelled once it is."""
        if self._cancelled.is_set():
            raise Cancelled

    # In the event loop.

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return not self.ended

    def cancel(self) -> None:
        """Let it end at the next frame."""
        self._cancelled.set()

    def end(self, how: str, error: str = "") -> None:
        """It has ``done``, was ``cancelled`` or ``failed``, with a sentence."""
        self.ended, self.error, self._stopped = how, error, time.monotonic()

    def to_json(self) -> dict[str, Any]:
        """What a page shows: ``rate`` in frames a second and seconds ``left`` of this phase, None before they are known."""
        elapsed = (self._stopped or time.monotonic()) - self._began
        rate = self.done / elapsed if self.done and elapsed > 0 else None
        left = None if rate is None or self.ended else max(self.total - self.done, 0) / rate
        return {"number": self.number, "person": self.person, "phase": self.phase, "done": min(self.done, self.total),
                "total": self.total, "rate": None if rate is None else round(rate, 2),
                "left": None if left is None else round(left, 1), "ended": self.ended, "error": self.error}
