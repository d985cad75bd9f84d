"""DECA's wrinkles: a detail code and the expression -> displacements of the skin in texture space."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from diffusionrig.capture.deca.heads import N_DETAIL, SIZES

CONDITION = 3 + SIZES["exp"] + N_DETAIL
"""Jaw rotation, expression and detail code, in this order."""

MAP_SIDE = 256
REACH = 0.01
"""Largest displacement, metres."""

_CHANNELS = ((128, 128), (128, 64), (64, 64), (64, 32), (32, 16))
_EPSILON = 0.8
"""Of all batch normalisations but the first. Not a momentum: the published network was trained with it as epsilon."""


class DetailDecoder(nn.Module):
    """``forward(jaw (B, 3), expression (B, 50), detail (B, 128)) -> (B, 1, 256, 256)`` displacements along the normal in
    metres, row 0 at the top of the texture."""

    def __init__(self) -> None:
        super().__init__()
        self.l1 = nn.Sequential(nn.Linear(CONDITION, 128 * 8 * 8))
        blocks: list[nn.Module] = [nn.BatchNorm2d(128)]
        for channels, out_channels in _CHANNELS:
            blocks += [nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(channels, out_channels, 3, padding=1),
                       nn.BatchNorm2d(out_channels, eps=_EPSILON), nn.LeakyReLU(0.2)]
        self.conv_blocks = nn.Sequential(*blocks, nn.Conv2d(16, 1, 3, padding=1), nn.Tanh())

    def forward(self, jaw: Tensor, expression: Tensor, detail: Tensor) -> Tensor:
        seed = self.l1(torch.cat([jaw, expression, detail], 1))
        return self.conv_blocks(seed.view(-1, 128, 8, 8)) * REACH
