"""Examples kept in memory once they are made, in eight bits a value: making one costs as much as learning from it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from diffusionrig.data.pairs import MOST_WEIGHT, Examples, PairMaker
from diffusionrig.data.sampling import record_of
from diffusionrig.render.condition import CHANNELS

_WIDE = {"flow": 2.0}
"""Channels that reach further than from -1 to 1."""


class KeptPairs:
    """The samples of a run when there are only ``distinct`` different ones, in a new order each time round, mirrored at random.

    Sample n is a function of (seed, n) here too. Values are rounded to 1 of 255 steps of their range.
    """

    def __init__(self, maker: PairMaker, distinct: int) -> None:
        self.maker, self.distinct = maker, distinct
        reach = torch.tensor([_WIDE.get(name, 1.0) for name, count in CHANNELS.items() for _ in range(count)])
        self._reach = torch.cat([reach, torch.ones(3), torch.tensor([MOST_WEIGHT])])[None, :, None, None]
        self._kept: dict[int, tuple[Tensor, int]] = {}

    def make(self, samples: Sequence[int]) -> Examples:
        """The samples, on the CPU."""
        numbers = [record_of(self.maker.seed, sample, self.distinct) for sample in samples]
        missing = sorted(set(numbers) - self._kept.keys())
        if missing:
            made = self.maker.make(missing, mirrored=False)
            values = torch.cat([made.condition, made.truth, made.weight], 1) / self._reach
            packed = ((values + 1) * 127.5).round().clamp(0, 255).byte()
            self._kept.update((number, (packed[row].clone(), int(made.records[row]))) for row, number in enumerate(missing))
        values = torch.stack([self._kept[number][0] for number in numbers]).float() / 127.5 - 1
        condition, truth, weight = (values * self._reach).split([values.shape[1] - 4, 3, 1], 1)
        records = torch.tensor([self._kept[number][1] for number in numbers])
        return self.maker.mirror(Examples(condition.clone(), truth.clone(), weight.clamp(min=0), records), samples)

    @property
    def megabytes(self) -> float:
        """Size of all examples once they are made."""
        return self.distinct * (self._reach.shape[1]) * self.maker.size ** 2 / 1e6

