"""Sharing a list of work among the processes of a job, with one of them writing the results in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Ranks(Protocol):
    """The processes of a job; ``training.distributed.World`` is one."""

    rank: int
    size: int

    def collect(self, value: Any) -> list[Any]:
        """What every rank passes in, in rank order, on rank 0; empty elsewhere."""
        ...

    def on_main(self, work: Callable[[], Result]) -> Result:
        """Run ``work`` on rank 0 and give every rank its result; when it fails, all ranks end."""
        ...


def share_of(items: Sequence[Item], batch: int, ranks: Ranks) -> list[Item]:
    """The items a rank works on, in its order: every ``ranks.size``-th batch."""
    return [item for i, item in enumerate(items) if i // batch % ranks.size == ranks.rank]


def in_rounds(items: Sequence[Item], batch: int, ranks: Ranks, work: Callable[[list[Item]], Result],
              commit: Callable[[list[Result]], None]) -> None:
    """Each round every rank works on one batch; rank 0 commits the results in the order of ``items``."""
    for start in range(0, len(items), batch * ranks.size):
        first = start + ranks.rank * batch
        results = ranks.collect(work(list(items[first:first + batch])))
        ranks.on_main(lambda results=results: commit(results))  # type: ignore[misc]
