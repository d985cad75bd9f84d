"""What solvers in x_0 form share: half log SNR as time, and the step that is exact while the clean image stands still."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from diffusionrig.diffusion.schedule import Schedule, Table


def half_log_snr(schedule: Schedule) -> Table:
    """lambda = log(sqrt(abar) / sqrt(1 - abar)) of the kept steps (N,), falling with the index."""
    return 0.5 * np.log(schedule.snr)


def span(schedule: Schedule, step: int) -> float:
    """h > 0: growth of lambda from the kept step ``step`` to the one below it, infinite from step 0 to the image."""
    lambdas = half_log_snr(schedule)
    return float(lambdas[step - 1] - lambdas[step]) if step else math.inf


def advance(schedule: Schedule, step: int, x: Tensor, x0: Tensor) -> Tensor:
    """From the kept step ``step`` to the one below it: (sigma'/sigma) x - alpha' (e^-h - 1) x_0.

    The exponential integrator of first order (Lu et al. 2022, DPM-Solver++, equation 9), equal to a DDIM step. From step 0 it
    gives ``x0`` itself.
    """
    abar, before = float(schedule.abar[step]), float(schedule.abar_prev[step])
    return math.sqrt((1 - before) / (1 - abar)) * x - math.sqrt(before) * math.expm1(-span(schedule, step)) * x0
