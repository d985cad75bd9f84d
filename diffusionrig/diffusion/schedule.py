"""Noise schedules: float64 tables of a (possibly spaced) discrete process.

Notation of DDPM (Ho et al. 2020): beta is the noise added at a step, abar the product of (1 - beta) up to it, so that
x_t = sqrt(abar) x_0 + sqrt(1 - abar) noise.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffusionrig.diffusion.config import DiffusionConfig
from diffusionrig.diffusion.spacing import kept_steps

Table = NDArray[np.float64]

FULL_TIME = 1000.0  # model time runs over 0..1000 when it is rescaled


def full_betas(name: str, steps: int) -> Table:
    """Betas of all ``steps``, float64. "linear": 1e-4..0.02 times 1000/steps; "cosine": Nichol & Dhariwal 2021."""
    if name == "linear":
        scale = 1000.0 / steps
        return np.linspace(scale * 1e-4, scale * 0.02, steps, dtype=np.float64)
    level = [math.cos((index / steps + 0.008) / 1.008 * math.pi / 2) ** 2 for index in range(steps + 1)]
    return np.array([min(1 - after / before, 0.999) for before, after in itertools.pairwise(level)])


@dataclass(frozen=True)
class Schedule:
    """Tables over the N kept steps, index 0 the least noisy. ``timesteps`` is the time that the network is told.

    abar_prev is 1 before the first step. ``posterior_*`` describe q(x_{t-1} | x_t, x_0) (DDPM equations 6 and 7).
    ``prediction`` says what a denoiser of this process gives: "noise", "image" or "velocity".
    """

    abar: Table
    timesteps: NDArray[np.generic]
    prediction: str = "noise"
    betas: Table = field(init=False)
    abar_prev: Table = field(init=False)
    snr: Table = field(init=False)
    posterior_variance: Table = field(init=False)
    posterior_mean_x0: Table = field(init=False)
    posterior_mean_xt: Table = field(init=False)

    def __post_init__(self) -> None:
        previous = np.concatenate([[1.0], self.abar[:-1]])
        betas = 1 - self.abar / previous
        derived = {
            "abar_prev": previous,
            "betas": betas,
            "snr": self.abar / (1 - self.abar),
            "posterior_variance": betas * (1 - previous) / (1 - self.abar),
            "posterior_mean_x0": betas * np.sqrt(previous) / (1 - self.abar),
            "posterior_mean_xt": (1 - previous) * np.sqrt(1 - betas) / (1 - self.abar),
        }
        for name, table in derived.items():
            object.__setattr__(self, name, table)

    def __len__(self) -> int:
        return len(self.abar)

    @property
    def large_variance(self) -> Table:
        """Variance of ancestral steps, "fixed large": beta, with the posterior variance of step 1 at step 0."""
        return np.concatenate([self.posterior_variance[1:2], self.betas[1:]])

    @property
    def clipped_posterior_variance(self) -> Table:
        """Posterior variance with its zero at step 0 replaced by the value of step 1, so that its log exists."""
        return np.concatenate([self.posterior_variance[1:2], self.posterior_variance[1:]])

    def p2_weights(self, k: float, gamma: float) -> Table:
        """1 / (k + SNR)^gamma (Choi et al. 2022, equation 8); equal to 1 - abar for k = gamma = 1."""
        return 1 / (k + self.snr) ** gamma

    def min_snr_weights(self, limit: float) -> Table:
        """Weights of the squared error in what the network predicts that weigh the error of the clean image by min(SNR, limit)
        (Hang et al. 2023, arXiv 2303.09556, section 3.4).

        An error of the noise is one of the clean image times SNR^-1/2, an error of the velocity one times (SNR + 1)^-1/2.
        """
        return np.minimum(self.snr, limit) / {"image": 1.0, "noise": self.snr, "velocity": self.snr + 1}[self.prediction]

    def model_time(self, index: Tensor) -> Tensor:
        """Kept-step indices (B,) int64 -> the time that the network sees (B,): int64, or float32 when rescaled."""
        times = torch.from_numpy(self.timesteps)
        return (times.float() if times.is_floating_point() else times).to(index.device)[index]


def gather(table: Table, index: Tensor, like: Tensor) -> Tensor:
    """``table[index]`` (B,) shaped (B,1,1,...) to multiply ``like``, in its dtype and on its device."""
    values = torch.from_numpy(table).to(like.dtype).to(like.device)[index.to(like.device)]
    return values.view(-1, *[1] * (like.ndim - 1))


def make_schedule(config: DiffusionConfig, steps: NDArray[np.int64] | None = None) -> Schedule:
    """The tables of ``config``: abar kept at the used steps, everything else rebuilt from it.

    ``steps``, sorted indices into the full schedule, replaces those of ``config.timestep_respacing``. A process of one call has its
    last step alone.
    """
    if config.one_call:
        steps = np.array([config.diffusion_steps - 1])
    elif steps is None:
        steps = kept_steps(config.diffusion_steps, config.timestep_respacing)
    abar = np.cumprod(1 - full_betas(config.noise_schedule, config.diffusion_steps), dtype=np.float64)[steps]
    times = steps * (FULL_TIME / config.diffusion_steps) if config.rescale_timesteps else steps
    return Schedule(abar, times, config.prediction)
