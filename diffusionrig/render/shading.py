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
    x, y, z = normals[:, :, None].unbind(1)  # each (B, 1, H, W)
    band = (light * light.new_tensor(BAND_CONSTANTS)[:, None])[..., None, None].unbind(1)  # nine of (B, 3, 1, 1)
    # Factored by coordinate: the nine products of ``sh_basis`` with the light, in fewer passes over the image.
    constant = band[0] - band[8]
    return (constant + x * (band[1] + x * band[7] + y * band[4] + z * band[5])
            + y * (band[2] - y * band[7] + z * band[6]) + z * (band[3] + 3 * z * band[8]))
