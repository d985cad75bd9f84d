"""Drawing at full resolution with a network that works on patches: space-to-depth in, a convolutional head out.

A patch of P x P pixels enters as one position with P^2 times the channels, so a UNet on 256 pixels costs what one on 256 / P does.
Its output is unfolded again and finished by convolutions beside the input: patches that are made by a linear map alone show their
borders (DiP, arXiv 2511.18822).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from diffusionrig.model.blocks import zeroed

WIDTH = 32
"""Feature channels of the head, at half the resolution of the picture."""


class PatchHead(nn.Module):
    """``forward(features (B, C, S/P, S/P), seen (B, in, S, S)) -> (B, out, S, S)``; zero before training.

    Convolutions run at half the resolution, each position drawing 2 x 2 pixels.
    """

    def __init__(self, channels: int, patch: int, seen: int, out_channels: int) -> None:
        super().__init__()
        self.fold = patch // 2
        self.unfold = nn.Conv2d(channels, WIDTH * self.fold * self.fold, 3, padding=1)
        self.look = nn.Conv2d(4 * seen, WIDTH, 1)
        self.mix = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.out = zeroed(nn.Conv2d(WIDTH, 4 * out_channels, 3, padding=1))

    def forward(self, features: Tensor, seen: Tensor) -> Tensor:
        fine = F.pixel_shuffle(self.unfold(features), self.fold) + self.look(F.pixel_unshuffle(seen, 2))
        fine = fine + self.mix(F.silu(fine))
        return F.pixel_shuffle(self.out(F.silu(fine)), 2)


def folded(x: Tensor, patch: int) -> Tensor:
    """(B, C, S, S) -> (B, C P^2, S/P, S/P)."""
    return F.pixel_unshuffle(x, patch) if patch > 1 else x
