"""The number of threads of a computation, above all one, so that results do not depend on how many processes share the work."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


def use_one_thread() -> None:
    """For worker processes: sums of floats are then made in the order they have within ``one_thread``."""
    _use(1)


def one_thread() -> contextlib.AbstractContextManager[None]:
    """The block computes in one thread, as a worker process does; afterwards the number is what it was."""
    return threads_within(1)


@contextlib.contextmanager
def threads_within(threads: int) -> Iterator[None]:
    """The block computes with so many ``threads``; afterwards the number is what it was."""
    import cv2
    import torch

    before = torch.get_num_threads(), cv2.getNumThreads()
    _use(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


def _use(threads: int) -> None:
    import cv2
    import torch

    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
