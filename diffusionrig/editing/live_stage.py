"""Live work in threads of its own, and a stage of it: items as they come, old ones dropped rather than fallen behind on."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Worker(ABC, Generic[Item]):
    """A thread that does what waits, first come first served, until it is ended; what that raises ends it, too, and is raised by
    the next ``_complain``. What waits is looked at under ``_changed`` alone, which is told of every change."""

    def __init__(self) -> None:
        """To be called last: the thread begins here."""
        self._waiting: deque[Item] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @abstractmethod
    def _do(self, item: Item) -> None:
        """The work on one item, in the thread."""

    def _tidy(self) -> None:
        """Before the next item is taken, under ``_changed``: drop what need not be done any more."""

    def _end(self) -> None:
        """Returns when all that waits is done."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._thread.join()
        self._complain()

    def _complain(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waiting) or self._ended)
                self._tidy()
                if not self._waiting:
                    return
                item = self._waiting.popleft()
                self._changed.notify_all()
            try:
                self._do(item)
            except BaseException as error:  # whatever it is belongs to whoever offers
                with self._changed:
                    self._error, self._ended = error, True
                    self._waiting.clear()
                    self._changed.notify_all()
                return


class Stage(Worker[Item]):
    """Does ``work`` on items one after the other, in the order in which they were offered.

    At most ``room`` items wait; one more drops the oldest of them, so that what is worked on is never older than that. What work
    raises ends the stage, and is raised by the next ``offer`` or by ``finish``.
    """

    def __init__(self, work: Callable[[Item], None], room: int = 1) -> None:
        if room < 1:
            raise ValueError(f"a stage needs room for one item at least, not {room}")
        self._work, self._room = work, room
        super().__init__()

    def offer(self, item: Item, patient: bool = False) -> list[Item]:
        """Hand over an item, at once, or when there is room if ``patient``; returns the items that were dropped for it, which are
        those that are offered after the end, too."""
        with self._changed:
            if patient:
                self._changed.wait_for(lambda: len(self._waiting) < self._room or self._ended)
            self._complain()
            if self._ended:
                return [item]
            dropped = []
            while len(self._waiting) >= self._room:
                dropped.append(self._waiting.popleft())
            self._waiting.append(item)
            self._changed.notify_all()
            return dropped

    def finish(self, forget: bool = False) -> list[Item]:
        """Returns when all that waits is done, or only what is being worked on if ``forget``; the items that were forgotten."""
        with self._changed:
            forgotten = list(self._waiting) if forget else []
            if forget:
                self._waiting.clear()
        self._end()
        return forgotten

    def _do(self, item: Item) -> None:
        self._work(item)
