"""A Fréchet distance between two sets of pictures over statistics of their colour and texture, for watching a training.

It is no FID: that needs the weights of a network trained on photographs, which cannot be shipped, and thousands of pictures. This
one needs neither, but sees no shapes: a picture with its eyes in the wrong place costs little.
"""

from __future__ import annotations

import functools
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from diffusionrig.frechet import frechet_distance

SCALES = 4
FLOOR = 2 / 255  # spread below two grey levels counts as none, so that flat pictures are comparable


@functools.cache
def _filters() -> Tensor:
    """(24, 3, 3, 3): the eight patterns of the 3x3 cosine transform besides the flat one, on grey, red-green and yellow-blue."""
    rows = torch.tensor([[math.cos(math.pi * k * (2 * i + 1) / 6) for i in range(3)] for k in range(3)])
    patterns = torch.stack([rows[i][:, None] * rows[j][None] for i in range(3) for j in range(3) if i or j])
    colours = torch.tensor([[1.0, 1.0, 1.0], [1.0, -1.0, 0.0], [0.5, 0.5, -1.0]])
    filters = (colours[:, None, :, None, None] * patterns[None, :, None]).flatten(0, 1)
    return filters / filters.flatten(1).norm(dim=1)[:, None, None, None]


def texture_statistics(images: Tensor) -> Tensor:
    """(B, 102) numbers of pictures (B, 3, S, S) in [0, 1]: mean and spread of red, green and blue, and at each of four scales,
    halved in between, the logarithm of the spread that each filter sees."""
    parts = [images.mean((2, 3)), images.std((2, 3))]
    filters = _filters().to(images)
    weight = len(filters) ** -0.5
    for _ in range(SCALES):
        seen = F.conv2d(F.pad(images, [1] * 4, mode="replicate"), filters)
        parts.append(weight * torch.log(seen.std((2, 3)) + FLOOR))
        images = F.avg_pool2d(images, 2)
    return torch.cat(parts, dim=1)


def texture_distance(images: Tensor, truth: Tensor) -> float:
    """Fréchet distance between the statistics of two sets of pictures (N, 3, S, S) and (M, 3, S, S) in [0, 1], two or more each."""
    made, real = (texture_statistics(pictures).double().cpu().numpy() for pictures in (images, truth))
    return frechet_distance(real, made)
