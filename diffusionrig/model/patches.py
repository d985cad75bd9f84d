"""Drawing at full resolution with a network that works on patches: space-to-depth in, a convolutional head out.

A patch of P x P pixels enters as one position with P^2 times the channels, so a UNet on 256 pixels costs what one on 256 / P does.
Its output is unfolded again and finished by two convolutions at full resolution beside the input: patches that are made by a
linear map alone show their borders (DiP, arXiv 2511.18822).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from diffusionrig.model.blocks import zeroed

WIDTH = 16
"""Feature channels of the head at full resolution."""


class PatchHead(nn.Module):
    """``forward(features (B, C, S/P, S/P), seen (B, in, S, S)) -> (B, out, S, S)``; zero before training."""

    def __init__(self, channels: int, patch: int, seen: int, out_channels: int) -> None:
        super().__init__()
        self.patch = patch
        self.unfold = nn.Conv2d(channels, WIDTH * patch * patch, 3, padding=1)
        self.look = nn.Conv2d(seen, WIDTH, 3, padding=1)
        self.mix = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.out = zeroed(nn.Conv2d(WIDTH, out_channels, 3, padding=1))

    def forward(self, features: Tensor, seen: Tensor) -> Tensor:
        fine = F.pixel_shuffle(self.unfold(features), self.patch) + self.look(seen)
        fine = fine + self.mix(F.silu(fine))
        drawn: Tensor = self.out(F.silu(fine))
        return drawn


def folded(x: Tensor, patch: int) -> Tensor:
    """(B, C, S, S) -> (B, C P^2, S/P, S/P)."""
    return F.pixel_unshuffle(x, patch) if patch > 1 else x
