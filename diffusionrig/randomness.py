"""Random streams that are a pure function of their keys.

Every draw in the package comes from a stream named by (seed, purpose, index ...), never from a global generator, so a
result does not depend on batch size, worker count, or on how often a run was interrupted.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

Key = int | str


def stream_seed(*keys: Key) -> int:
    """A 63-bit seed from any mix of integers and strings; distinct key tuples give independent streams."""
    text = "\x1f".join(f"{type(key).__name__}:{key}" for key in keys)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def numpy_stream(*keys: Key) -> np.random.Generator:
    """A NumPy generator for the stream named by ``keys``."""
    return np.random.default_rng(stream_seed(*keys))


def torch_stream(*keys: Key) -> torch.Generator:
    """A CPU torch generator for the stream named by ``keys``.

    Draw on the CPU and move the result: the same numbers then reach every device.
    """
    import torch

    return torch.Generator().manual_seed(stream_seed(*keys))
