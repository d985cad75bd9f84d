"""Work of which only the latest matters: one job at a time, and one that waits, which newer ones replace."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Latest(Generic[Item]):
    """Runs ``work`` on items, one at a time; an item that still waits when a newer one comes is dropped."""

    def __init__(self, work: Callable[[Item], Awaitable[None]]) -> None:
        self._work = work
        self._waiting: list[Item] = []
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0

    @property
    def busy(self) -> bool:
        """Whether a job runs or waits."""
        return self._task is not None and not self._task.done()

    def offer(self, item: Item) -> None:
        """Hand over an item; to be called within the event loop."""
        self.dropped += len(self._waiting)
        self._waiting = [item]
        if not self.busy:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def forget(self) -> None:
        """Drop what waits."""
        self._waiting = []

    async def settled(self) -> None:
        """Returns when nothing runs or waits any more."""
        while self._task is not None and not self._task.done():
            await asyncio.shield(self._task)

    async def _run(self) -> None:
        while self._waiting:
            item = self._waiting.pop()
            await self._work(item)
