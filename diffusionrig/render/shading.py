"""Spherical-harmonic shading: nine bands of distant light on a matte surface (Ramamoorthi and Hanrahan 2001)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Harmonic normalisation times the attenuation of a matte surface per order (pi, 2 pi / 3, pi / 4), divided by pi in the
# constant band, as in DECA.
BAND_CONSTANTS = (
    1 / math.sqrt(4 * math.pi),
    *(2 * math.pi / 3 * math.sqrt(3 / (4 * math.pi)),) * 3,
    *(math.pi / 4 * 3 * math.sqrt(5 / (12 * math.pi)),) * 3,
    math.pi / 4 * 1.5 * math.sqrt(5 / (12 * math.pi)),
    math.pi / 4 * 0.5 * math.sqrt(5 / (4 * math.pi)),
)


def sh_basis(normals: Tensor) -> Tensor:
    """Normals (..., 3) -> the nine basis functions (..., 9), constants included.

    1, X, Y, Z, XY, XZ, YZ, X^2 - Y^2, 3 Z^2 - 1. The normals are used as they come, unit length or not.
    """
    x, y, z = normals.unbind(-1)
    basis = torch.stack([torch.ones_like(x), x, y, z, x * y, x * z, y * z, x * x - y * y, 3 * z * z - 1], -1)
    return basis * normals.new_tensor(BAND_CONSTANTS)


def shade(normals: Tensor, light: Tensor) -> Tensor:
    """Shading (B, 3, H, W) of normals (B, 3, H, W) under ``light`` (B, 9, 3), bands x RGB; not clamped."""
    bands = light * light.new_tensor(BAND_CONSTANTS)[:, None]
    # One image at a time: its intermediate results stay in the cache.
    return torch.stack([_shade_image(*image) for image in zip(normals, bands)])


def _shade_image(normals: Tensor, bands: Tensor) -> Tensor:
    """The nine products of ``sh_basis`` with the bands (9, 3), factored by coordinate: fewer passes over the image."""
    x, y, z = normals[:, None].unbind(0)  # each (1, H, W)
    band = bands[..., None, None].unbind(0)  # nine of (3, 1, 1)
    return (band[0] - band[8] + x * (band[1] + x * band[7] + y * band[4] + z * band[5])
            + y * (band[2] - y * band[7] + z * band[6]) + z * (band[3] + 3 * z * band[8]))
