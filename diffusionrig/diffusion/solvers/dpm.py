"""DPM-Solver++, multistep (Lu et al. 2022, arXiv 2211.01095, algorithm 2)."""

from __future__ import annotations

import torch
from torch import Tensor

from diffusionrig.diffusion.process import Denoiser
from diffusionrig.diffusion.samplers import Callback, estimate
from diffusionrig.diffusion.schedule import Schedule
from diffusionrig.diffusion.solvers.exponential import advance, span


@torch.no_grad()
def dpm_solver_pp(denoiser: Denoiser, x: Tensor, schedule: Schedule, *, order: int = 2, clip_denoised: bool = True,
                  callback: Callback | None = None) -> Tensor:
    """From noise ``x`` (B,C,H,W) at the last kept step to images, one call of the denoiser for each kept step.

    The clean image is continued along lambda through its last ``order`` (1 or 2) estimates; 1 is DDIM. The last step, to abar = 1,
    is of first order and returns the last estimate of the clean image, so with ``clip_denoised`` the result lies in [-1, 1].
    """
    if order not in (1, 2):
        raise ValueError(f"DPM-Solver++ is built for order 1 or 2, not {order}")
    older: Tensor | None = None
    for step in reversed(range(len(schedule))):
        x0, _, _ = estimate(denoiser, x, schedule, step, clip_denoised)
        ahead = x0
        if order == 2 and older is not None and step > 0:
            ahead = x0 + (x0 - older) * (span(schedule, step) / (2 * span(schedule, step + 1)))
        x, older = advance(schedule, step, x, ahead), x0
        if callback is not None:
            callback(len(schedule) - step, len(schedule), x0)
    return x
