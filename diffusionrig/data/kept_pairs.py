"""Examples kept once they are made, in eight bits a value: making one costs more than learning from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from diffusionrig.data.pairs import MOST_WEIGHT, Examples, PairMaker
from diffusionrig.data.sampling import record_of
from diffusionrig.io.mapped_rows import MappedRows
from diffusionrig.render.condition import CHANNELS

_WIDE = {"flow": 2.0}
"""Channels that reach further than from -1 to 1."""


class KeptPairs:
    """The samples of a run when there are only ``distinct`` different ones, in a new order each time round, mirrored at random.

    Sample n is a function of (seed, n) here too. Values are rounded to 1 of 255 steps of their range. They are kept in memory, or
    in ``folder``, where a run that goes on, or others of the same stores, shares and seed, find them again.
    """

    def __init__(self, maker: PairMaker, distinct: int, folder: str = "") -> None:
        self.maker, self.distinct = maker, distinct
        reach = torch.tensor([_WIDE.get(name, 1.0) for name, count in CHANNELS.items() for _ in range(count)])
        self._reach = torch.cat([reach, torch.ones(3), torch.tensor([MOST_WEIGHT])])[None, :, None, None]
        self._kept: dict[int, np.ndarray] | MappedRows = {}
        if folder:
            self._kept = MappedRows(folder, distinct, (self._reach.shape[1], maker.size, maker.size), maker.origin())

    def make(self, samples: Sequence[int]) -> Examples:
        """The samples, on the CPU."""
        numbers = [record_of(self.maker.seed, sample, self.distinct) for sample in samples]
        self.fill(numbers)
        # In place: a batch has tens of megabytes, and fetching that from the system anew for each step takes longer than the steps.
        values = torch.empty(len(numbers), self._reach.shape[1], self.maker.size, self.maker.size)
        for row, number in enumerate(numbers):
            values[row].copy_(torch.from_numpy(self._kept[number]))
        values.mul_(self._reach / 127.5).sub_(self._reach)
        condition, truth, weight = values.split([values.shape[1] - 4, 3, 1], 1)
        records = torch.tensor([self.maker.number_of(self.maker.choose(number)) for number in numbers])
        return self.maker.mirror(Examples(condition, truth, weight.clamp_(min=0), records), samples)

    def fill(self, numbers: Sequence[int]) -> None:
        """Make those of the distinct samples that are not there yet."""
        missing = sorted(number for number in set(numbers) if number not in self._kept)
        if missing:
            made = self.maker.make(missing, mirrored=False)
            values = torch.cat([made.condition, made.truth, made.weight], 1) / self._reach
            packed = ((values + 1) * 127.5).round().clamp(0, 255).byte().numpy()
            for row, number in enumerate(missing):
                self._kept[number] = packed[row].copy()

    @property
    def megabytes(self) -> float:
        """Size of all examples once they are made."""
        return self.distinct * (self._reach.shape[1]) * self.maker.size ** 2 / 1e6

