"""The forward process and the training loss. Nothing here draws random numbers: steps and noise are arguments."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor

from diffusionrig.diffusion.bound import bound_bits
from diffusionrig.diffusion.config import DiffusionConfig
from diffusionrig.diffusion.conversions import (
    clean_image,
    learned_log_variance,
    posterior_mean,
    split_output,
    target_of,
)
from diffusionrig.diffusion.schedule import gather, make_schedule

# (x (B,C,H,W), model time (B,)) -> noise or clean image (B,C,H,W), or (B,2C,H,W) with the variance part after it
Denoiser = Callable[[Tensor, Tensor], Tensor]

# (prediction (B,C,H,W), target (B,C,H,W)) -> loss (B,)
Distance = Callable[[Tensor, Tensor], Tensor]


def beginning(config: DiffusionConfig, noise: Tensor) -> Tensor:
    """What a picture is drawn from: ``noise``, or zeros where one call predicts it from the condition alone."""
    return noise.new_zeros(noise.shape) if config.one_call else noise


class GaussianDiffusion:
    """A diffusion process over images of any shape (B,C,H,W); ``index`` (B,) int64 counts the kept steps."""

    def __init__(self, config: DiffusionConfig) -> None:
        self.config = config
        self.schedule = make_schedule(config)
        if config.min_snr:
            self.weights = self.schedule.min_snr_weights(config.min_snr)
        elif config.p2_weight:
            self.weights = self.schedule.p2_weights(config.p2_k, config.p2_gamma)
        else:
            self.weights = np.ones(len(self.schedule))

    def q_sample(self, x0: Tensor, index: Tensor, noise: Tensor) -> Tensor:
        """x_t = sqrt(abar) x_0 + sqrt(1 - abar) noise (DDPM equation 4)."""
        abar = self.schedule.abar
        return gather(np.sqrt(abar), index, x0) * x0 + gather(np.sqrt(1 - abar), index, x0) * noise

    def training_loss(self, model: Denoiser, x0: Tensor, index: Tensor, noise: Tensor,
                      distance: Distance | None = None) -> dict[str, Tensor]:
        """Loss terms for each image, (B,) each: "loss" to be minimised, and its parts "mse" and "vb" where they exist.

        ``x0`` (B,C,H,W) in [-1,1]; ``noise`` like it. The squared error of the noise (or of what
        else the network predicts) is averaged over C, H, W and weighed by P2 or min-SNR; a learned variance adds the variational
        bound with the mean held fixed (Nichol & Dhariwal 2021, section 3.1); ``use_kl`` trains on the bound alone. ``distance``,
        of prediction and target, takes the place of the squared error.
        """
        x = beginning(self.config, noise) if self.config.one_call else self.q_sample(x0, index, noise)
        prediction, fraction = split_output(model(x, self.schedule.model_time(index)), x.shape[1])
        prediction = prediction.to(x.dtype)
        if self.config.use_kl:
            bits = self._bound(x0, x, index, prediction, fraction) * len(self.schedule)
            return {"loss": bits, "vb": bits}
        target = target_of(self.schedule, index, x0, noise)
        weight = gather(self.weights, index, x).flatten()
        mse = weight * ((target - prediction).square().flatten(1).mean(1) if distance is None else distance(prediction, target))
        if fraction is None:
            return {"loss": mse, "mse": mse}
        bits = self._bound(x0, x, index, prediction.detach(), fraction)
        if self.config.rescale_learned_sigmas:
            bits = bits * (len(self.schedule) / 1000.0)
        return {"loss": mse + bits, "mse": mse, "vb": bits}

    def _bound(self, x0: Tensor, x: Tensor, index: Tensor, prediction: Tensor, fraction: Tensor | None) -> Tensor:
        """Bound terms (B,) of a prediction."""
        mean = posterior_mean(self.schedule, x, index, clean_image(self.schedule, x, index, prediction))
        if fraction is None:
            log_variance = gather(np.log(self.schedule.large_variance), index, x).expand_as(x)
        else:
            log_variance = learned_log_variance(self.schedule, index, fraction.to(x.dtype))
        return bound_bits(self.schedule, x0, x, index, mean, log_variance)
