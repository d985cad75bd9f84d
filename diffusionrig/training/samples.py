"""What is drawn at each save: photographs, their rendered buffers, and what the network makes of these."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from diffusionrig.diffusion.config import DiffusionConfig
from diffusionrig.io.sheets import contact_sheet, to_uint8
from diffusionrig.model.network import DiffusionRig
from diffusionrig.randomness import torch_stream
from diffusionrig.training.batches import Faces
from diffusionrig.training.drawing import draw

STEPS = 20


@dataclasses.dataclass
class Samples:
    """B records of the store and what was drawn for them, on the CPU.

    records  their numbers
    images   (B, 3, S, S) photographs in [-1, 1]
    face     (B, 1, S, S) bool, where the head is
    view     (B, 3, S, S) in 0..1 of what they are drawn from: rendered buffers, or the carried photograph
    drawn    (B, 3, S, S) in [-1, 1]
    """

    records: list[int]
    images: Tensor
    face: Tensor
    view: Tensor
    drawn: Tensor


def draw_samples(network: DiffusionRig, weights: Mapping[str, Tensor], diffusion: DiffusionConfig, faces: Faces, count: int,
                 seed: int) -> Samples:
    """``count`` records spread over the store, drawn by DDIM with ``weights``.

    Records and noise depend on ``seed`` and the store alone, so the samples of a run can be compared. The network is left as
    it was.
    """
    indices = np.unique(np.linspace(0, len(faces) - 1, count).round().astype(int)).tolist()
    device = next(network.parameters()).device
    shown = faces.shown(indices)
    size = shown.images.shape[-1]
    noise = torch.stack([torch.randn(3, size, size, generator=torch_stream(seed, "sample", i)) for i in indices])
    drawn = draw(network, weights, diffusion, shown.images.to(device), shown.condition.to(device), noise.to(device), STEPS)
    return Samples(indices, shown.images, shown.face, shown.view, drawn.float().cpu())


def sample_grid(samples: Samples) -> np.ndarray:
    """A contact sheet (H, W, 3) uint8: photograph, what it is drawn from, and drawn picture of each record."""
    columns = [to_uint8(samples.images.numpy(), -1, 1), to_uint8(samples.view.numpy()),
               to_uint8(samples.drawn.numpy(), -1, 1)]
    return contact_sheet([list(row) for row in zip(*columns)], ("photograph", "drawn from", "drawn"),
                         [f"record {i}" for i in samples.records])
