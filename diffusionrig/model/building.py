"""Building a network that a file describes, no larger than the file: a description may come from anybody."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

MOST_BUILT, SMALL = 6, 1 << 27
"""A network with its file read takes at most so many times the file's bytes, and these more: weights in half precision become twice
as large, and there are two sets of them while one is copied into the other."""

_MOST_CALLS = 500_000


class _Bounded(TorchDispatchMode):
    def __init__(self, room: int) -> None:
        super().__init__()
        self.room, self.calls = room, _MOST_CALLS

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        self.calls -= 1
        if isinstance(made, torch.Tensor) and not any(isinstance(one, torch.Tensor) for one in args):
            self.room -= made.numel() * made.element_size()
        if self.room < 0 or self.calls < 0:
            raise ValueError("its description asks for a network far larger than the file")
        return made


@contextlib.contextmanager
def built_within(room: int) -> Iterator[None]:
    """Within the ``with`` block new tensors may take ``room`` bytes together; ValueError beyond. Memory is taken by filling it, so
    that what is refused was not taken."""
    with _Bounded(room):
        yield
