"""Terms of the variational bound, in bits per dimension (Ho et al. 2020, equation 5; Nichol & Dhariwal 2021)."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from diffusionrig.diffusion.conversions import posterior_mean
from diffusionrig.diffusion.schedule import Schedule, gather

PIXEL_STEP = 2 / 255  # distance of neighbouring 8-bit values in [-1, 1]


def bound_bits(schedule: Schedule, x0: Tensor, x: Tensor, index: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """One bound term for each image -> (B,): KL to the true posterior, at index 0 the likelihood of the pixels.

    ``mean`` and ``log_variance`` (B,C,H,W) describe the model's p(x_{t-1} | x_t).
    """
    true_mean = posterior_mean(schedule, x, index, x0)
    true_log_variance = gather(np.log(schedule.clipped_posterior_variance), index, x)
    divergence = 0.5 * (log_variance - true_log_variance - 1 + torch.exp(true_log_variance - log_variance)
                        + (true_mean - mean).square() * torch.exp(-log_variance))
    likelihood = pixel_log_likelihood(x0, mean, 0.5 * log_variance)
    nats = torch.where(index == 0, -likelihood.flatten(1).mean(1), divergence.flatten(1).mean(1))
    return nats / math.log(2.0)


def pixel_log_likelihood(x0: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """Log probability of 8-bit pixels in [-1, 1] under a Gaussian cut into 256 bins, the outer ones open-ended."""
    precision = torch.exp(-log_scale)
    upper = torch.special.ndtr((x0 - mean + PIXEL_STEP / 2) * precision)
    lower = torch.special.ndtr((x0 - mean - PIXEL_STEP / 2) * precision)
    upper = torch.where(x0 > 0.999, torch.ones_like(upper), upper)
    lower = torch.where(x0 < -0.999, torch.zeros_like(lower), lower)
    return torch.log((upper - lower).clamp(min=1e-12))
