"""Classifier-free guidance: a prediction pushed away from that of the same network without its condition."""

from __future__ import annotations

import torch
from torch import Tensor

from diffusionrig.diffusion.conversions import split_output
from diffusionrig.diffusion.process import Denoiser


def guided(denoiser: Denoiser, absent: Denoiser, scale: float) -> Denoiser:
    """The denoiser D_0 + ``scale`` (D - D_0), alike for noise, clean image and velocity (Ho & Salimans 2022, equation 6).

    ``absent`` D_0 is the same network under the null condition. A scale of 1 changes nothing, more exaggerates what the condition
    says. It costs one more call a step. A variance part stays that of D.
    """

    def predict(x: Tensor, t: Tensor) -> Tensor:
        plain, variance = split_output(denoiser(x, t), x.shape[1])
        result = plain + (scale - 1) * (plain - split_output(absent(x, t), x.shape[1])[0])
        return result if variance is None else torch.cat([result, variance], 1)

    return predict
