"""Schedule samplers: which time step each sample is trained at (``--schedule_sampler``)."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from diffusionrig.errors import UsageError

NAMES = ("uniform", "loss-second-moment")


class StepSampler(Protocol):
    """Turns uniform numbers into steps; may learn from the losses it is told about."""

    def draw(self, uniform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(B,) numbers in [0, 1) -> (B,) int64 steps and (B,) float32 loss weights 1 / (T p(t))."""
        ...

    def learn(self, steps: np.ndarray, losses: np.ndarray) -> None:
        """Record the losses of all processes, in sample order."""
        ...

    def state(self) -> dict[str, np.ndarray]:
        """What has been learnt, for a training state."""
        ...

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Continue from ``state``."""
        ...


class UniformSteps:
    """Every step equally often, weight 1."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def draw(self, uniform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.floor(uniform * self.steps).astype(np.int64), np.ones(len(uniform), np.float32)

    def learn(self, steps: np.ndarray, losses: np.ndarray) -> None:
        """Nothing to learn."""

    def state(self) -> dict[str, np.ndarray]:
        return {}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Nothing to restore."""


class LossSecondMoment:
    """p(t) proportional to sqrt(E[L_t^2]) over the last 10 losses of each step (Nichol and Dhariwal 2021, section 3.3).

    Uniform until every step has its 10 losses; afterwards a share of 0.001 stays uniform.
    """

    history, uniform_share = 10, 0.001

    def __init__(self, steps: int) -> None:
        self.losses = np.zeros((steps, self.history), np.float64)
        self.counts = np.zeros(steps, np.int64)

    def probabilities(self) -> np.ndarray:
        """(T,) probabilities of the steps."""
        steps = len(self.counts)
        if (self.counts < self.history).any():
            return np.full(steps, 1.0 / steps)
        size = np.sqrt((self.losses ** 2).mean(1))
        return size / size.sum() * (1 - self.uniform_share) + self.uniform_share / steps

    def draw(self, uniform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        chance = self.probabilities()
        steps = np.minimum(np.searchsorted(np.cumsum(chance), uniform, side="right"), len(chance) - 1)
        return steps.astype(np.int64), (1.0 / (len(chance) * chance[steps])).astype(np.float32)

    def learn(self, steps: np.ndarray, losses: np.ndarray) -> None:
        for step, loss in zip(steps, losses, strict=True):
            if not np.isfinite(loss):
                continue
            if self.counts[step] == self.history:
                self.losses[step, :-1] = self.losses[step, 1:]
                self.losses[step, -1] = loss
            else:
                self.losses[step, self.counts[step]] = loss
                self.counts[step] += 1

    def state(self) -> dict[str, np.ndarray]:
        return {"losses": self.losses, "counts": self.counts}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        self.losses[:], self.counts[:] = state["losses"], state["counts"]


def make_step_sampler(name: str, steps: int) -> StepSampler:
    """The sampler called ``name`` over ``steps`` time steps; UsageError on an unknown name."""
    if name not in NAMES:
        raise UsageError(f"--schedule_sampler {name} does not exist; choose from {', '.join(NAMES)}.")
    return UniformSteps(steps) if name == "uniform" else LossSecondMoment(steps)
