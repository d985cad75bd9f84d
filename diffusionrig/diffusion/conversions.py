"""Closed forms that link noisy image, clean image and noise. ``index`` (B,) counts the kept steps of the schedule."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from diffusionrig.diffusion.schedule import Schedule, gather


def x0_from_eps(schedule: Schedule, x: Tensor, index: Tensor, eps: Tensor) -> Tensor:
    """x_0 = sqrt(1/abar) x - sqrt(1/abar - 1) eps (DDPM equation 4 solved for x_0)."""
    inverse = 1 / schedule.abar
    return gather(np.sqrt(inverse), index, x) * x - gather(np.sqrt(inverse - 1), index, x) * eps


def eps_from_x0(schedule: Schedule, x: Tensor, index: Tensor, x0: Tensor) -> Tensor:
    """The noise that leads from ``x0`` to ``x``: (sqrt(1/abar) x - x_0) / sqrt(1/abar - 1)."""
    inverse = 1 / schedule.abar
    return (gather(np.sqrt(inverse), index, x) * x - x0) / gather(np.sqrt(inverse - 1), index, x)


def x0_from_velocity(schedule: Schedule, x: Tensor, index: Tensor, velocity: Tensor) -> Tensor:
    """x_0 = sqrt(abar) x - sqrt(1 - abar) v (Salimans & Ho 2022, appendix D)."""
    return gather(np.sqrt(schedule.abar), index, x) * x - gather(np.sqrt(1 - schedule.abar), index, x) * velocity


def target_of(schedule: Schedule, index: Tensor, x0: Tensor, noise: Tensor) -> Tensor:
    """What the denoiser of this schedule should predict; the velocity is sqrt(abar) noise - sqrt(1 - abar) x_0."""
    if schedule.prediction != "velocity":
        return x0 if schedule.prediction == "image" else noise
    return gather(np.sqrt(schedule.abar), index, x0) * noise - gather(np.sqrt(1 - schedule.abar), index, x0) * x0


def clean_image(schedule: Schedule, x: Tensor, index: Tensor, prediction: Tensor) -> Tensor:
    """x_0 from what the denoiser of this schedule predicts; the inverse of ``target_of``."""
    if schedule.prediction == "image":
        return prediction
    convert = x0_from_velocity if schedule.prediction == "velocity" else x0_from_eps
    return convert(schedule, x, index, prediction)


def posterior_mean(schedule: Schedule, x: Tensor, index: Tensor, x0: Tensor) -> Tensor:
    """Mean of q(x_{t-1} | x_t, x_0) (DDPM equation 7)."""
    return (gather(schedule.posterior_mean_x0, index, x) * x0 + gather(schedule.posterior_mean_xt, index, x) * x)


def learned_log_variance(schedule: Schedule, index: Tensor, fraction: Tensor) -> Tensor:
    """Log variance from the network's second half ``fraction``, about -1..1 (Nichol & Dhariwal 2021, equation 15).

    -1 is the posterior variance, the smallest sensible one; 1 is beta, the largest.
    """
    smallest = gather(np.log(schedule.clipped_posterior_variance), index, fraction)
    largest = gather(np.log(schedule.betas), index, fraction)
    return smallest + (fraction + 1) / 2 * (largest - smallest)


def split_output(output: Tensor, channels: int) -> tuple[Tensor, Tensor | None]:
    """Network output (B, C or 2C, H, W) -> the prediction (B,C,H,W) and the variance part, None where not learned."""
    if output.shape[1] == channels:
        return output, None
    if output.shape[1] != 2 * channels:
        raise ValueError(f"the denoiser gave {output.shape[1]} channels for an image of {channels}")
    prediction, fraction = output.chunk(2, dim=1)
    return prediction, fraction
