"""Samplers: pure functions from noise to images, for any denoiser and any spaced schedule.

DDIM and the ancestral sampler are the published ones; iPNDM and UniPC, multistep solvers, reach the same image in fewer calls.

A denoiser is a function (x (B,C,H,W), model time (B,)) -> noise (B,C,H,W), or the clean image or velocity where the schedule's
``prediction`` says so; a variance part after it (2C channels) is used by :func:`ancestral` and ignored by the others. Every
image of a batch is computed on its own: where noise is drawn it comes from one generator per image, so a result does
not depend on its neighbours in the batch.
"""

from __future__ import annotations

import dataclasses
import math
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
from diffusionrig.diffusion.schedule import Schedule, Table, gather

# (steps done, steps in all, current estimate of the clean image (B,C,H,W))
Callback = Callable[[int, int, Tensor], None]

ADAMS_BASHFORTH = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))
"""Weights of the newest, second newest, ... slope, by order."""

UNIPC_ORDER = 3


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


@torch.no_grad()
def ipndm(denoiser: Denoiser, x: Tensor, schedule: Schedule, *, order: int = 3, clip_denoised: bool = True,
          callback: Callback | None = None) -> Tensor:
    """Improved pseudo linear multistep (Zhang & Chen 2022, arXiv 2204.13902, after Liu et al. 2022, arXiv 2202.09778) from noise
    ``x`` (B,C,H,W) at the last kept step to images, one call of the denoiser for each kept step.

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


def unipc_weights(positions: Sequence[float], h: float) -> list[float]:
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
class _Jump:
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
        for weight, slope in zip(unipc_weights(positions, self.h) if positions else [], slopes):
            end = end + self.gain * weight * slope
        return end


@torch.no_grad()
def unipc(denoiser: Denoiser, x: Tensor, schedule: Schedule, *, clip_denoised: bool = True,
          callback: Callback | None = None) -> Tensor:
    """UniPC of order 3 (Zhao et al. 2023, arXiv 2302.04867): a predictor, and a corrector that costs no call of its own. From noise
    ``x`` (B,C,H,W) at the last kept step to images, one call of the denoiser for each kept step.

    The order of the predictor is reached after as many steps and left towards the end: the step from kept step k is of order k at
    most, one lower than the authors', since the grid's last strides in lambda are long and what is continued over them overshoots
    (measured: half of the error with 6 to 12 calls, though more with 4). The last step, to abar = 1, returns the last estimate of
    the clean image, so with ``clip_denoised`` the result lies in [-1, 1].
    """
    lambdas = half_log_snr(schedule)
    older: list[tuple[float, Tensor]] = []
    jump: _Jump | None = None
    for step in reversed(range(len(schedule))):
        x0, _, _ = estimate(denoiser, x, schedule, step, clip_denoised)
        if callback is not None:
            callback(len(schedule) - step, len(schedule), x0)
        if step == 0:
            return x0
        if jump is not None:
            x = jump.corrected(x0)
        h, here = span(schedule, step), float(lambdas[step])
        used = older[:min(UNIPC_ORDER, step) - 1]
        positions = [(place - here) / h for place, _ in used]
        jump = _Jump(advance(schedule, step, x, x0), -math.sqrt(schedule.abar_prev[step]) * math.expm1(-h), h, x0, positions,
                     [(estimated - x0) / position for (_, estimated), position in zip(used, positions)])
        x = jump.predicted()
        older = [(here, x0), *older][:UNIPC_ORDER - 1]
    raise ValueError("a schedule without steps has nothing to solve")
