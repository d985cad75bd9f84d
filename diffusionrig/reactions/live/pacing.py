"""Frames of a listener that are due at their times: drawn ahead where there is time, and passed over where there is none."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from diffusionrig.editing.live_figures import LiveFigures, Summary
from diffusionrig.editing.live_stage import Worker

Item = TypeVar("Item")


@dataclasses.dataclass(frozen=True)
class Due(Generic[Item]):
    """``item`` is to be shown at ``at``, a ``time.perf_counter()``."""

    item: Item
    at: float


class Pacer(Worker[tuple[Due[Item], float]], Generic[Item]):
    """Does ``work`` in a thread of its own on items in the order of their times.

    Of items whose time has come only the latest is worked on, the others are dropped; of those to come the next. At most ``room``
    wait; one more waits itself until there is room, which there is as soon as one can be worked on or dropped. ``patient`` drops
    none. What work raises ends it, and is raised by the next ``offer`` or by ``finish``. Latency is how long after its time, or
    after it was offered where that is later, an item was done.
    """

    def __init__(self, work: Callable[[Item], None], room: int, patient: bool = False) -> None:
        self._work, self._room, self._patient = work, room, patient
        self._figures = LiveFigures()
        self._start: float | None = None
        super().__init__()

    def offer(self, due: Due[Item]) -> None:
        """Hand over the next item; times do not fall."""
        with self._changed:
            now = time.perf_counter()
            self._start = now if self._start is None else self._start
            self._figures.came()
            while len(self._waiting) >= self._room and not self._ended:
                self._tidy()
                if len(self._waiting) >= self._room:
                    self._changed.wait(self._until_overdue())
            self._complain()
            self._waiting.append((due, now))
            self._changed.notify_all()

    def finish(self) -> Summary:
        """Returns when all that waits is done or dropped; how it went."""
        self._end()
        return self._figures.summary()

    def _until_overdue(self) -> float | None:
        """Seconds until the first that waits can be dropped; None when it will not be."""
        if self._patient or len(self._waiting) < 2:
            return None
        return max(self._waiting[1][0].at - time.perf_counter(), 0.001)

    def _tidy(self) -> None:
        """Drop what is overdue; the latest of it stays."""
        now = time.perf_counter()
        while not self._patient and len(self._waiting) > 1 and self._waiting[1][0].at <= now:
            self._waiting.popleft()
            self._figures.missed(dropped=1)

    def _do(self, item: tuple[Due[Item], float]) -> None:
        due, offered = item
        self._work(due.item)
        done = time.perf_counter()
        self._figures.made(max(done - max(due.at, offered), 0.0), done - (self._start or 0.0))
