"""Which time step, noise and dropout belong to the n-th sample of a run: functions of (seed, n) alone, as the order of the
photographs is (``data.sampling``).

Sample n is the same whatever the number of processes, the batch size, or how often the run was interrupted, so N processes
with batch B see exactly what one process with batch N B sees, and a resume needs no saved generator.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from diffusionrig.diffusion.timesteps import LossSecondMomentSampler, UniformSampler
from diffusionrig.randomness import stream_seed, torch_stream

TimestepSampler = UniformSampler | LossSecondMomentSampler


def timestep_of(sampler: TimestepSampler, seed: int, sample: int) -> tuple[int, float]:
    """The time step (index of a kept step) a sample is trained at, and the weight of its loss."""
    index, weight = sampler.sample(1, torch_stream(seed, "t", sample))
    return int(index), float(weight)


def noise_of(seed: int, sample: int, size: int) -> Tensor:
    """(3, size, size) standard normal noise of a sample, float32 on the CPU."""
    return torch.randn(3, size, size, generator=torch_stream(seed, "noise", sample))


def drawn_below(share: float, what: str, seed: int, samples: Sequence[int]) -> Tensor:
    """(B,) bool: which samples belong to the ``share`` of all of whom ``what`` holds ("drop_buffers", ...)."""
    return torch.tensor([float(torch.rand((), generator=torch_stream(seed, what, sample))) < share for sample in samples])


def seed_dropout(seed: int, first_sample: int) -> None:
    """Key torch's global generators, which dropout draws from, by the first sample of the batch about to be run."""
    torch.manual_seed(stream_seed(seed, "dropout", first_sample))
