"""The process: 1000 cosine steps, x_0 predicted; sampled by DDIM over every n-th step down to step 0."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from diffusionrig.diffusion.config import DiffusionConfig
from diffusionrig.diffusion.samplers import ddim
from diffusionrig.diffusion.schedule import Schedule, make_schedule

STEPS = 1000
Cleaning = Callable[[Tensor, Tensor], Tensor]
"""(x_t, t (G,)) -> x_0."""


def training_schedule() -> Schedule:
    """All 1000 steps."""
    return make_schedule(DiffusionConfig(diffusion_steps=STEPS, noise_schedule="cosine", predict_xstart=True))


def sampling_schedule(steps: int, compat: bool = False) -> Schedule:
    """Steps 0, n, 2n ... ("leading" spacing: 50 of them end at 980). After step 0 nothing of the noise is left; with ``compat``
    step 0 leads to itself, so that noise of deviation sqrt(1 - abar_0) = 0.0064 stays."""
    schedule = make_schedule(DiffusionConfig(diffusion_steps=STEPS, noise_schedule="cosine", predict_xstart=True,
                                             timestep_respacing=f"ddim{steps}"))
    if compat:
        schedule.abar_prev[0] = schedule.abar[0]
    return schedule


def sampled(clean: Cleaning, noise: Tensor, schedule: Schedule, clip: float = 0.0) -> Tensor:
    """From ``noise`` (G, K, ...) at the last step to samples; predictions are clipped to +-``clip`` unless it is 0."""
    def denoiser(x: Tensor, t: Tensor) -> Tensor:
        made = clean(x, t)
        return made.clamp(-clip, clip) if clip else made

    return ddim(denoiser, noise, schedule, clip_denoised=False)


def guided(clean: Cleaning, blind: Cleaning, scale: float) -> Cleaning:
    """Predictions without conditions, moved ``scale`` times as far as the conditions move them."""
    def denoiser(x: Tensor, t: Tensor) -> Tensor:
        without = blind(x, t)
        return torch.lerp(without, clean(x, t), scale)

    return denoiser
