"""The conditioned denoiser: UNet plus global latent encoder, one state dict with the published names."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from diffusionrig.model.config import CHANGE, CONFIDENCE, PICTURE, ModelConfig
from diffusionrig.model.encoder import build_encoder
from diffusionrig.model.null_condition import keep_some
from diffusionrig.model.unet import UNet

COARSE = 4
"""Side in pixels of the squares whose means are the coarse part of an output."""


class DiffusionRig(nn.Module):
    """Prediction under physical buffers and a global latent (DiffusionRig, CVPR 2023, section 3), or under the reference condition,
    where it is that of the clean image (JiT, arXiv 2511.13720: noise is not what patches can hold)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.denoisingUNet = UNet(config)
        self.encoder = build_encoder(config.encoder_type, config.latent_dim)

    def encode_cond(self, x: Tensor) -> Tensor:
        """Photographs (B,3,S,S) in [-1,1] -> global latents (B, latent_dim)."""
        return self.encoder(x)

    def forward(self, x: Tensor, t: Tensor, physic_cond: Tensor, detail_cond: Tensor | None = None,
                x_start: Tensor | None = None, keep_latent: Tensor | None = None) -> Tensor:
        """Predicted noise (B,3,S,S), or (B,6,S,S) with ``learn_sigma``.

        ``x`` noisy image (B,3,S,S); ``t`` model time (B,); ``physic_cond`` (B,9,S,S) rendered, normal, albedo;
        the latent is ``detail_cond`` (B, latent_dim) when given, else it is computed from the clean image ``x_start``.
        Where ``keep_latent`` (B,) is given and false, the latent is the null instead.
        """
        if detail_cond is None:
            if x_start is None:
                raise ValueError("give detail_cond (a latent) or x_start (the clean image)")
            detail_cond = self.encoder(x_start)
        if keep_latent is not None:
            detail_cond = keep_some(detail_cond, keep_latent)
        return finished(self.denoisingUNet(torch.cat([x, physic_cond], dim=1), t, detail_cond), physic_cond, self.config)


def finished(predicted: Tensor, condition: Tensor, config: ModelConfig) -> Tensor:
    """What the UNet's output means: under the reference condition it is added to the carried photograph where that may change, so
    that an edit which changes nothing gives back the photograph; else it is the prediction itself.

    Where the photograph shows what the edit shows, and the less the network may change, the more of the output's coarse part alone
    is added: shades may change there, but lashes, pores, stubble and teeth stay, of which a loss on pixels would leave the mean.
    """
    if config.condition == "buffers":
        return predicted
    coarse = interpolate(avg_pool2d(predicted, COARSE, ceil_mode=True), predicted.shape[-2:], mode="bilinear")
    change = condition[:, CHANGE]
    lost = (1 - condition[:, CONFIDENCE]) / 2 * change
    return condition[:, PICTURE] + change * torch.lerp(coarse, predicted, lost.to(predicted.dtype))


def build_network(config: ModelConfig, seed: int = 0) -> DiffusionRig:
    """A freshly initialised network; the same ``seed`` gives the same weights and no global generator moves."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return DiffusionRig(config)
