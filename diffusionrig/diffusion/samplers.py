"""Samplers: pure functions from noise to images, for any denoiser and any spaced schedule.

A denoiser is a function (x (B,C,H,W), model time (B,)) -> noise (B,C,H,W), or the clean image or velocity where the schedule's
``prediction`` says so; a variance part after it (2C channels) is used by :func:`ancestral` and ignored by the others. Every
image of a batch is computed on its own: where noise is drawn it comes from one generator per image, so a result does
not depend on its neighbours in the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from diffusionrig.diffusion.conversions import (
    clean_image,
    eps_from_x0,
    learned_log_variance,
    posterior_mean,
    split_output,
)
from diffusionrig.diffusion.process import Denoiser
from diffusionrig.diffusion.schedule import Schedule, gather

# (steps done, steps in all, current estimate of the clean image (B,C,H,W))
Callback = Callable[[int, int, Tensor], None]


def draw_noise(generators: Sequence[torch.Generator], shape: Sequence[int], device: torch.device | str = "cpu",
               dtype: torch.dtype = torch.float32) -> Tensor:
    """Standard normal noise (B, *shape), image b from ``generators[b]``: the same numbers whatever the batch.

    Numbers are drawn on the CPU in float32, so that every device and precision starts from the same noise.
    """
    return torch.stack([torch.randn(*shape, generator=generator) for generator in generators]).to(device, dtype)


def _noise_like(generators: Sequence[torch.Generator] | None, x: Tensor) -> Tensor:
    if generators is None or len(generators) != len(x):
        raise ValueError(f"this sampler draws noise: give one generator for each of the {len(x)} images")
    return draw_noise(generators, x.shape[1:], x.device, x.dtype)


def estimate(denoiser: Denoiser, x: Tensor, schedule: Schedule, step: int, clip_denoised: bool,
             ) -> tuple[Tensor, Tensor, Tensor | None]:
    """Clean image and noise seen in ``x`` at the kept step ``step``, and the variance part of the denoiser's output.

    With ``clip_denoised`` the clean image is clamped to [-1, 1] and the noise recomputed from it.
    """
    index = torch.full((len(x),), step, dtype=torch.int64, device=x.device)
    prediction, fraction = split_output(denoiser(x, schedule.model_time(index)), x.shape[1])
    prediction = prediction.to(x.dtype)
    x0 = clean_image(schedule, x, index, prediction)
    if clip_denoised:
        x0 = x0.clamp(-1, 1)
    elif schedule.prediction == "noise":
        return x0, prediction, fraction
    return x0, eps_from_x0(schedule, x, index, x0), fraction


@torch.no_grad()
def ddim(denoiser: Denoiser, x: Tensor, schedule: Schedule, *, eta: float = 0.0, clip_denoised: bool = True,
         generators: Sequence[torch.Generator] | None = None, callback: Callback | None = None) -> Tensor:
    """DDIM (Song et al. 2021, equations 12 and 16) from noise ``x`` (B,C,H,W) at the last kept step to images.

    ``eta`` 0 is deterministic and needs no ``generators``; 1 has the variance of the ancestral sampler. With
    ``clip_denoised`` the result lies in [-1, 1].
    """
    for step in reversed(range(len(schedule))):
        abar, before = schedule.abar[step], schedule.abar_prev[step]
        x0, eps, _ = estimate(denoiser, x, schedule, step, clip_denoised)
        sigma = eta * float(np.sqrt((1 - before) / (1 - abar)) * np.sqrt(1 - abar / before))
        x = float(np.sqrt(before)) * x0 + float(np.sqrt(max(1 - before - sigma**2, 0.0))) * eps
        if sigma > 0:
            x = x + sigma * _noise_like(generators, x)
        if callback is not None:
            callback(len(schedule) - step, len(schedule), x0)
    return x


@torch.no_grad()
def ancestral(denoiser: Denoiser, x: Tensor, schedule: Schedule, *, generators: Sequence[torch.Generator],
              clip_denoised: bool = True, callback: Callback | None = None) -> Tensor:
    """Ancestral sampling (Ho et al. 2020, algorithm 2) from noise ``x`` (B,C,H,W) to images.

    Variance: beta, or what the denoiser says when it gives a variance part.
    """
    for step in reversed(range(len(schedule))):
        x0, _, fraction = estimate(denoiser, x, schedule, step, clip_denoised)
        index = torch.full((len(x),), step, dtype=torch.int64, device=x.device)
        mean = posterior_mean(schedule, x, index, x0)
        if step == 0:
            x = mean
        else:
            if fraction is None:
                deviation = gather(np.sqrt(schedule.large_variance), index, x)
            else:
                deviation = torch.exp(0.5 * learned_log_variance(schedule, index, fraction.to(x.dtype)))
            x = mean + deviation * _noise_like(generators, x)
        if callback is not None:
            callback(len(schedule) - step, len(schedule), x0)
    return x


@torch.no_grad()
def ddim_reverse(denoiser: Denoiser, image: Tensor, schedule: Schedule, *, clip_denoised: bool = False,
                 refinements: int = 0, callback: Callback | None = None) -> Tensor:
    """Deterministic inversion: the noise from which :func:`ddim` with ``eta`` 0 returns to ``image`` (B,C,H,W).

    Each level is reached from the one below with the noise that the denoiser sees there; ``refinements`` repeats the
    step with the noise seen at the level reached, a fixed point of which inverts the sampler exactly. Clamping loses
    information and is off unless asked for.
    """
    x = image
    for step in range(len(schedule)):
        abar, before = float(schedule.abar[step]), float(schedule.abar_prev[step])
        keep = (abar / before) ** 0.5
        add = (1 - abar) ** 0.5 - keep * (1 - before) ** 0.5
        lower, guess = x, x
        for _ in range(1 + refinements):
            x0, eps, _ = estimate(denoiser, guess, schedule, step, clip_denoised)
            guess = keep * lower + add * eps
        x = guess
        if callback is not None:
            callback(step + 1, len(schedule), x0)
    return x
