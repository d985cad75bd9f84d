"""Guidance without training: a prediction pushed away from that of a worse-informed denoiser."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from diffusionrig.diffusion.conversions import split_output
from diffusionrig.diffusion.process import Denoiser


def guided(denoiser: Denoiser, others: Sequence[tuple[Denoiser, float]]) -> Denoiser:
    """A denoiser D + sum over ``others`` (D_k, w_k) of (w_k - 1) (D - D_k), alike for noise, clean image and velocity.

    With one other this is D_k + w_k (D - D_k): 1 changes nothing, more exaggerates what sets D apart. D_k is the same network
    under another condition (classifier-free guidance, Ho & Salimans 2022) or a weaker one under the same condition
    (autoguidance, Karras et al. 2024, arXiv 2406.02507). Each costs one more call a step. A variance part stays that of D.
    """

    def predict(x: Tensor, t: Tensor) -> Tensor:
        plain, variance = split_output(denoiser(x, t), x.shape[1])
        result = plain
        for other, weight in others:
            result = result + (weight - 1) * (plain - split_output(other(x, t), x.shape[1])[0])
        return result if variance is None else torch.cat([result, variance], 1)

    return predict
