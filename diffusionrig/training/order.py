"""Which photograph, which noise and which time step belong to the n-th sample of a run: functions of (seed, n) alone.

Sample n of a run is the same whatever the number of processes, the batch size, or how often the run was interrupted, so N
processes with batch B see exactly what one process with batch N B sees, and a resume needs no saved loader state.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

from diffusionrig.randomness import numpy_stream, stream_seed, torch_stream


@functools.lru_cache(maxsize=4)
def _permutation(seed: int, epoch: int, length: int) -> np.ndarray:
    return numpy_stream(seed, "order", epoch).permutation(length)


def record_of(seed: int, sample: int, length: int) -> int:
    """Index of the record shown as sample ``sample``: a new permutation of all ``length`` records every epoch."""
    epoch, position = divmod(sample, length)
    return int(_permutation(seed, epoch, length)[position])


def uniform_of(seed: int, sample: int) -> float:
    """The number in [0, 1) that picks the time step of a sample."""
    return float(numpy_stream(seed, "t", sample).random())


def noise_of(seed: int, sample: int, size: int) -> Tensor:
    """(3, size, size) standard normal noise of a sample, float32 on the CPU."""
    return torch.randn(3, size, size, generator=torch_stream(seed, "noise", sample))


def seed_dropout(seed: int, first_sample: int) -> None:
    """Key torch's global generators, which dropout draws from, by the first sample of the batch about to be run."""
    torch.manual_seed(stream_seed(seed, "dropout", first_sample))
