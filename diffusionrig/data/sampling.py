"""Which record is shown as the n-th sample of a run: a function of (seed, n) alone.

Nothing has to be saved to resume, and N processes with batch B see what one process with batch N B sees. Every epoch is a
new permutation of all records; they follow one another without a gap, so an album may be smaller than a batch.
"""

from __future__ import annotations

import functools

import numpy as np

from diffusionrig.randomness import numpy_stream


@functools.lru_cache(maxsize=4)
def _permutation(seed: int, epoch: int, length: int) -> np.ndarray:
    return numpy_stream(seed, "order", epoch).permutation(length)


def record_of(seed: int, sample: int, length: int) -> int:
    """Index of the record shown as sample number ``sample`` of the whole run, in a store of ``length`` records."""
    epoch, position = divmod(sample, length)
    return int(_permutation(seed, epoch, length)[position])


def batch_records(seed: int, first_sample: int, count: int, length: int) -> np.ndarray:
    """(count,) int64 record indices of the samples ``first_sample`` .. ``first_sample + count - 1``."""
    return np.array([record_of(seed, first_sample + i, length) for i in range(count)], np.int64)


def rank_first_sample(samples_seen: int, batch_size: int, rank: int) -> int:
    """First sample of a rank's rows in the global batch that begins after ``samples_seen`` samples of all ranks."""
    return samples_seen + rank * batch_size
