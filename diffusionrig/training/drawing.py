"""Drawing faces with the weights of a run while it trains: deterministic, and the network is left as it was."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch
from torch import Tensor

from diffusionrig.diffusion.config import DiffusionConfig
from diffusionrig.diffusion.samplers import ddim
from diffusionrig.diffusion.schedule import make_schedule
from diffusionrig.model.network import DiffusionRig


def draw(network: DiffusionRig, weights: Mapping[str, Tensor], diffusion: DiffusionConfig, images: Tensor, buffers: Tensor,
         noise: Tensor, steps: int) -> Tensor:
    """(B, 3, S, S) pictures in [-1, 1], drawn from ``noise`` by ``steps`` of DDIM with ``weights`` under the ``buffers`` and the
    latents of ``images``; all on the device of the network."""
    schedule = make_schedule(dataclasses.replace(diffusion, timestep_respacing=str(min(steps, diffusion.diffusion_steps))))
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        with torch.no_grad():
            latent = torch.func.functional_call(network.encoder, _part(weights, "encoder."), (images,))

            def denoise(x: Tensor, time: Tensor) -> Tensor:
                return torch.func.functional_call(network, dict(weights), (x, time, buffers, latent))

            return ddim(denoise, noise, schedule)
    finally:
        for module, training in modes:
            module.training = training


def _part(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix):]: tensor for name, tensor in weights.items() if name.startswith(prefix)}
