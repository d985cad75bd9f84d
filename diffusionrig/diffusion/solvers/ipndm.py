"""Improved pseudo linear multistep (iPNDM; Zhang & Chen 2022, arXiv 2204.13902, after Liu et al. 2022, arXiv 2202.09778)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from diffusionrig.diffusion.process import Denoiser
from diffusionrig.diffusion.samplers import Callback, estimate
from diffusionrig.diffusion.schedule import Schedule

ADAMS_BASHFORTH = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))
"""Weights of the newest, second newest, ... slope, by order."""


@torch.no_grad()
def ipndm(denoiser: Denoiser, x: Tensor, schedule: Schedule, *, order: int = 3, clip_denoised: bool = True,
          callback: Callback | None = None) -> Tensor:
    """From noise ``x`` (B,C,H,W) at the last kept step to images, one call of the denoiser for each kept step.

    DDIM steps with the noise continued through its last ``order`` (1 to 4) estimates by the weights of Adams and Bashforth,
    lower orders at the start; 1 is DDIM. The weights are those of equal steps whatever the grid, which costs
    the formal order (it is 2 on a smooth uneven grid) but not, as measured, the accuracy at few steps. The last step, to
    abar = 1, is like the others; with ``clip_denoised`` the result is clamped to [-1, 1] as every estimate is.
    """
    if not 1 <= order <= len(ADAMS_BASHFORTH):
        raise ValueError(f"iPNDM is built for orders 1 to {len(ADAMS_BASHFORTH)}, not {order}")
    newest_first: list[Tensor] = []
    for step in reversed(range(len(schedule))):
        abar, before = float(schedule.abar[step]), float(schedule.abar_prev[step])
        x0, eps, _ = estimate(denoiser, x, schedule, step, clip_denoised)
        newest_first = [eps, *newest_first][:order]
        keep = math.sqrt(before / abar)
        add = math.sqrt(1 - before) - keep * math.sqrt(1 - abar)
        x = keep * x
        for weight, slope in zip(ADAMS_BASHFORTH[len(newest_first) - 1], newest_first):
            x = x + add * weight * slope
        if callback is not None:
            callback(len(schedule) - step, len(schedule), x0)
    return x.clamp(-1, 1) if clip_denoised else x
