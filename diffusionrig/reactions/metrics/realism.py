"""FRRea: how far the drawn frames are from real ones, as the Fréchet distance of picture features; lower is better.

The published code takes Inception's 2048 features, whose weights do not ship here; distances compare within one kind of features
only, so its name stands beside every figure. ``random-convolutions-1``, which ships, is a fixed untrained network: it sees blur,
noise, colour and texture, and knows nothing of faces. Features made elsewhere are taken as files.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from diffusionrig.randomness import torch_stream

SHIPPED = "random-convolutions-1"
EVERY = 30
"""Frames from one scored picture to the next, as published."""
_SIDE, _WIDTHS = 128, (3, 32, 64, 128)


class RandomConvolutions:
    """Pictures -> features: mean and deviation over the picture of every channel of a fixed network of three strided
    convolutions."""

    name = SHIPPED
    size = 2 * sum(_WIDTHS)

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self._kernels = []
        for i, (inputs, outputs) in enumerate(pairwise(_WIDTHS)):
            draw = torch.randn(outputs, inputs, 3, 3, generator=torch_stream(SHIPPED, i), dtype=torch.float64)
            # Without a mean a kernel answers to structure, not to brightness, and the variance stays the same from layer to layer.
            draw = draw - draw.mean((1, 2, 3), keepdim=True)
            self._kernels.append((draw / draw.flatten(1).norm(dim=1)[:, None, None, None] * 2 ** 0.5).float().to(self.device))

    @torch.no_grad()
    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """(B, H, W, 3) uint8 -> (B, size) float64."""
        layer = torch.from_numpy(np.ascontiguousarray(pictures)).to(self.device).permute(0, 3, 1, 2).float() / 127.5 - 1
        layer = functional.interpolate(layer, size=(_SIDE, _SIDE), mode="bilinear", antialias=True, align_corners=False)
        found = [_pooled(layer)]
        for kernel in self._kernels:
            layer = functional.relu(functional.conv2d(layer, kernel, stride=2, padding=1))
            found.append(_pooled(layer))
        return torch.cat(found, 1).cpu().numpy()


def _pooled(layer: Tensor) -> Tensor:
    values = layer.double()
    return torch.cat([values.mean((2, 3)), values.std((2, 3), correction=0)], 1)


def every_nth(groups: Sequence[Sequence[str]], step: int = EVERY) -> list[str]:
    """Of every clip's frames, in order, the first and each ``step``-th after it."""
    return [name for frames in groups for name in frames[::step]]
