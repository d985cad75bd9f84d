"""Stages of a pipeline: what an iterator makes, made in a thread of its own a little before it is asked for."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

Item = TypeVar("Item")

_WAIT = 0.1
"""Seconds after which a stage that waits for room looks whether anybody still wants its items."""


def ahead(items: Iterable[Item], depth: int = 2) -> Iterator[Item]:
    """The same ``items`` in the same order, up to ``depth`` of them made beforehand.

    What making one raises is raised where it would have been. When the iterator is left early its thread ends after the item that
    it is making. Numpy, OpenCV, PyAV and torch compute without holding back other threads, so stages run on cores of their own.
    """
    room: queue.Queue[tuple[bool, Any]] = queue.Queue(depth)
    unwanted = threading.Event()

    def put(entry: tuple[bool, Any]) -> bool:
        while not unwanted.is_set():
            with contextlib.suppress(queue.Full):
                room.put(entry, timeout=_WAIT)
                return True
        return False

    def work() -> None:
        stream = iter(items)
        try:
            for item in stream:
                if not put((True, item)):
                    break
            else:
                put((False, None))
        except BaseException as error:  # whatever it is belongs to whoever asks
            put((False, error))
        finally:
            close = getattr(stream, "close", None)
            if close is not None:
                close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            more, value = room.get()
            if more:
                yield value
            elif value is None:
                return
            else:
                raise value
    finally:
        unwanted.set()
        thread.join()


@contextlib.contextmanager
def stages(count: int) -> Iterator[bool]:
    """Shares torch's threads among ``count`` stages that compute at once: inside, each thread that starts computes with its share.
    Says whether there are enough for stages at all; otherwise nothing changes, and one thing is done after the other."""
    import torch

    threads = torch.get_num_threads()
    if threads < 2:
        yield False
        return
    torch.set_num_threads(max(1, threads // count))
    try:
        yield True
    finally:
        torch.set_num_threads(threads)
