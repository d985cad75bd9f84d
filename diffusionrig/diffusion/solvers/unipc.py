"""UniPC (Zhao et al. 2023, arXiv 2302.04867): a predictor, and a corrector that costs no call of its own."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from diffusionrig.diffusion.process import Denoiser
from diffusionrig.diffusion.samplers import Callback, estimate
from diffusionrig.diffusion.schedule import Schedule
from diffusionrig.diffusion.solvers.exponential import advance, half_log_snr, span


def weights(positions: Sequence[float], h: float) -> list[float]:
    """Weights a of the differences (x0_k - x0) / r_k at ``positions`` r_k = (lambda_k - lambda) / h, for B(h) = e^-h - 1.

    They solve R a = b with R_nk = r_k^(n-1) and b_n = n! phi_(n+1)(-h) / phi_1(-h), the condition of order len(positions) + 1
    (equations 6 and 12 for data prediction, variant B2). A single one is 1/2, as the authors simplify it.
    """
    if len(positions) == 1:
        return [0.5]
    first = phi = math.expm1(-h) / -h
    rows, sides = [], []
    for n in range(1, len(positions) + 1):
        phi = (phi - 1 / math.factorial(n)) / -h
        rows.append([position ** (n - 1) for position in positions])
        sides.append(math.factorial(n) * phi / first)
    return [float(weight) for weight in np.linalg.solve(np.array(rows), np.array(sides))]


@dataclasses.dataclass(frozen=True)
class Jump:
    """A step as the predictor made it, which the corrector takes again when the clean image at its end is known.

    plain      (B,C,H,W) the first-order result
    gain       what the weighted differences are multiplied with
    x0         (B,C,H,W) clean image at its start
    positions  r_k of the older estimates, and ``slopes`` their differences from ``x0`` over r_k
    """

    plain: Tensor
    gain: float
    h: float
    x0: Tensor
    positions: list[float]
    slopes: list[Tensor]

    def predicted(self) -> Tensor:
        return self._along(self.positions, self.slopes)

    def corrected(self, reached: Tensor) -> Tensor:
        """The end of the step given the clean image ``reached`` seen there: one order higher than predicted."""
        return self._along([*self.positions, 1.0], [*self.slopes, reached - self.x0])

    def _along(self, positions: list[float], slopes: list[Tensor]) -> Tensor:
        end = self.plain
        for weight, slope in zip(weights(positions, self.h) if positions else [], slopes):
            end = end + self.gain * weight * slope
        return end


@torch.no_grad()
def unipc(denoiser: Denoiser, x: Tensor, schedule: Schedule, *, order: int = 3, clip_denoised: bool = True,
          callback: Callback | None = None) -> Tensor:
    """From noise ``x`` (B,C,H,W) at the last kept step to images, one call of the denoiser for each kept step.

    ``order`` (1 to 3) of the predictor, reached after as many steps and left towards the end: the step from kept step k is of
    order k at most, one lower than the authors', since the grid's last strides in lambda are long and what is continued over
    them overshoots (measured: half of the error of order 3 with 6 to 12 calls, though more with 4). The last step, to abar = 1,
    returns the last estimate of the clean image, so with ``clip_denoised`` the result lies in [-1, 1].
    """
    if order not in (1, 2, 3):
        raise ValueError(f"UniPC is built for orders 1 to 3, not {order}")
    lambdas = half_log_snr(schedule)
    older: list[tuple[float, Tensor]] = []
    jump: Jump | None = None
    for step in reversed(range(len(schedule))):
        x0, _, _ = estimate(denoiser, x, schedule, step, clip_denoised)
        if callback is not None:
            callback(len(schedule) - step, len(schedule), x0)
        if step == 0:
            return x0
        if jump is not None:
            x = jump.corrected(x0)
        h, here = span(schedule, step), float(lambdas[step])
        used = older[:min(order, step) - 1]
        positions = [(place - here) / h for place, _ in used]
        jump = Jump(advance(schedule, step, x, x0), -math.sqrt(schedule.abar_prev[step]) * math.expm1(-h), h, x0, positions,
                    [(estimated - x0) / position for (_, estimated), position in zip(used, positions)])
        x = jump.predicted()
        older = [(here, x0), *older][:order - 1]
    raise ValueError("a schedule without steps has nothing to solve")
