"""Exponential moving average of the weights, with a warm-up so that a short run has a usable average too."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def warmed_decay(decay: float, updates: int) -> float:
    """Decay at the ``updates``-th update (counted from 1): min(decay, updates / (9 + updates)).

    The first update has decay 0.1, so the average forgets its starting point almost at once; 0.9999 is reached after
    about 90,000 updates, and in between the average spans roughly the last tenth of the run.
    """
    return min(decay, updates / (9.0 + updates))


class WeightAverage:
    """ema <- d ema + (1 - d) w over every floating tensor of a module's state dict, d = ``warmed_decay``.

    BatchNorm's running statistics are averaged like the weights they belong to; integer tensors are copied. Tensors that
    never change (a frozen encoder) are named in ``fixed`` and left alone, so they stay bit-equal.
    """

    def __init__(self, module: nn.Module, decay: float, fixed: frozenset[str] = frozenset()) -> None:
        self.decay, self.fixed, self.updates = decay, fixed, 0
        self._live = {name: tensor for name, tensor in module.state_dict().items() if name not in fixed}
        self.tensors: dict[str, Tensor] = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}

    @torch.no_grad()
    def update(self) -> None:
        """Count one optimiser update and move the average towards the weights as they are now."""
        self.updates += 1
        weight = 1.0 - warmed_decay(self.decay, self.updates)
        moving = [name for name, tensor in self._live.items() if tensor.is_floating_point()]
        torch._foreach_lerp_([self.tensors[name] for name in moving], [self._live[name] for name in moving], weight)
        for name, tensor in self._live.items():
            if not tensor.is_floating_point():
                self.tensors[name].copy_(tensor)

    @torch.no_grad()
    def load(self, tensors: dict[str, Tensor], updates: int) -> None:
        """Continue from a saved average."""
        for name, tensor in self.tensors.items():
            tensor.copy_(tensors[name])
        self.updates = updates
