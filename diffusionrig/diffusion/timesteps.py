"""Which step each training image is trained at, and the weight that keeps the expected loss unchanged."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from diffusionrig.diffusion.config import SCHEDULE_SAMPLERS
from diffusionrig.errors import UsageError


class UniformSampler:
    """Every kept step equally often, weight 1."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def sample(self, batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Indices (batch,) int64 and weights (batch,) float32, both on the CPU."""
        return torch.randint(0, self.steps, (batch,), generator=generator), torch.ones(batch)

    def update(self, index: Tensor, losses: Tensor) -> None:
        """Nothing to learn."""

    def state_dict(self) -> dict[str, Tensor]:
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Nothing to restore."""


class LossSecondMomentSampler:
    """Steps in proportion to the root mean square of their last losses (Nichol & Dhariwal 2021, section 3.3).

    Uniform until every step has ``history`` losses; a share ``uniform`` stays uniform so that no step starves.
    """

    def __init__(self, steps: int, history: int = 10, uniform: float = 0.001) -> None:
        self.steps, self.history, self.uniform = steps, history, uniform
        self.losses = np.zeros((steps, history), dtype=np.float64)
        self.counts = np.zeros(steps, dtype=np.int64)

    def probabilities(self) -> np.ndarray:
        """Probability of each step (steps,), float64."""
        if (self.counts < self.history).any():
            return np.full(self.steps, 1 / self.steps)
        root = np.sqrt((self.losses**2).mean(axis=1))
        if root.sum() <= 0:
            return np.full(self.steps, 1 / self.steps)
        return (1 - self.uniform) * root / root.sum() + self.uniform / self.steps

    def sample(self, batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Indices (batch,) int64 and weights 1/(steps p) (batch,) float32, both on the CPU."""
        p = torch.from_numpy(self.probabilities())
        index = torch.multinomial(p, batch, replacement=True, generator=generator)
        return index, (1 / (self.steps * p[index])).float()

    def update(self, index: Tensor, losses: Tensor) -> None:
        """Note the unweighted ``losses`` (N,) of steps ``index`` (N,); gathered from all ranks, in rank order.

        Losses that are not finite are left out.
        """
        for step, loss in zip(index.tolist(), losses.detach().double().tolist()):
            if not np.isfinite(loss):
                continue
            if self.counts[step] < self.history:
                self.losses[step, self.counts[step]] = loss
                self.counts[step] += 1
            else:
                self.losses[step, :-1] = self.losses[step, 1:]
                self.losses[step, -1] = loss

    def state_dict(self) -> dict[str, Tensor]:
        """History as tensors, for exact resumption."""
        return {"losses": torch.from_numpy(self.losses.copy()), "counts": torch.from_numpy(self.counts.copy())}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.losses = state["losses"].numpy().copy()
        self.counts = state["counts"].numpy().copy()


def make_sampler(name: str, steps: int) -> UniformSampler | LossSecondMomentSampler:
    """The sampler called ``name`` over ``steps`` kept steps."""
    if name == "uniform":
        return UniformSampler(steps)
    if name == "loss-second-moment":
        return LossSecondMomentSampler(steps)
    raise UsageError(f"--schedule_sampler {name!r} is unknown; choose {' or '.join(SCHEDULE_SAMPLERS)}")
