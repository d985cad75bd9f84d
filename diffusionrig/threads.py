"""One thread of computation, so that results do not depend on how many processes share the work."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


def use_one_thread() -> None:
    """For worker processes: sums of floats are then made in the order they have within ``one_thread``."""
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """The block computes in one thread, as a worker process does; afterwards the number is what it was."""
    import cv2
    import torch

    before = torch.get_num_threads(), cv2.getNumThreads()
    use_one_thread()
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])
