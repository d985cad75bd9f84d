"""Drawing faces with the weights of a run while it trains: deterministic, and the network is left as it was."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch
from torch import Tensor

from diffusionrig.diffusion.config import DiffusionConfig
from diffusionrig.diffusion.process import beginning
from diffusionrig.diffusion.samplers import ddim
from diffusionrig.diffusion.schedule import make_schedule
from diffusionrig.model.network import DiffusionRig
from diffusionrig.training.evaluating import evaluating, run_with


def draw(network: DiffusionRig, weights: Mapping[str, Tensor], diffusion: DiffusionConfig, images: Tensor, buffers: Tensor,
         noise: Tensor, steps: int) -> Tensor:
    """(B, 3, S, S) pictures in [-1, 1], drawn from ``noise`` by ``steps`` of DDIM with ``weights`` under the ``buffers`` and the
    latents of ``images``; all on the device of the network."""
    schedule = make_schedule(dataclasses.replace(diffusion, timestep_respacing=str(min(steps, diffusion.diffusion_steps))))
    with evaluating(network), torch.no_grad():
        latent = run_with(network.encoder, weights, images, prefix="encoder.")

        def denoise(x: Tensor, time: Tensor) -> Tensor:
            return run_with(network, weights, x, time, buffers, latent)

        return ddim(denoise, beginning(diffusion, noise), schedule)
