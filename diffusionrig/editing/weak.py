"""The weak model of autoguidance: the general network beside a personal one made from it."""

from __future__ import annotations

from pathlib import Path

import torch

from diffusionrig.editing.pretrained import Pretrained, load_pretrained
from diffusionrig.errors import UsageError

MUST_AGREE = ("diffusion_steps", "noise_schedule", "predict_xstart", "predict_v", "rescale_timesteps")


def load_weak(path: str | Path, strong: Pretrained, device: torch.device | str = "cpu") -> Pretrained:
    """Load a network whose predictions can be set against those of ``strong``.

    It must draw the same size from the same buffers, on the same schedule, and read the same latent: UsageError says what differs.
    A ``.pt`` file is read with the configuration of ``strong``. The encoder's weights are compared, not its running statistics,
    which published training lets drift.
    """
    weak = load_pretrained(path, model=strong.model, diffusion=strong.diffusion, device=device, usual_head=strong.head)
    differing = [f"{name} {getattr(weak.diffusion, name)} instead of {getattr(strong.diffusion, name)}" for name in MUST_AGREE
                 if getattr(weak.diffusion, name) != getattr(strong.diffusion, name)]
    if weak.model.image_size != strong.model.image_size:
        differing.append(f"size {weak.model.image_size} instead of {strong.model.image_size}")
    if weak.head != strong.head:
        differing.append(f"head {weak.head} instead of {strong.head}")
    if not differing and not _same_encoder(weak, strong):
        differing.append("another encoder of the latent")
    if differing:
        raise UsageError(f"--weak_model {path} does not fit the model: {', '.join(differing)}; give the stage 1 model that the "
                         "personal one was trained from.")
    return weak


def _same_encoder(weak: Pretrained, strong: Pretrained) -> bool:
    ours, theirs = (dict(one.network.encoder.named_parameters()) for one in (weak, strong))
    return ours.keys() == theirs.keys() and all(
        ours[name].shape == theirs[name].shape and torch.allclose(ours[name], theirs[name], rtol=1e-2, atol=1e-4) for name in ours)
