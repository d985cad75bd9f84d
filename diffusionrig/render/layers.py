"""A photograph as two layers: the person, whose hair goes where the head goes, and what is behind, which stays."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate, max_pool2d

from diffusionrig.render.filling import filled, joined
from diffusionrig.render.trust import dilated, well_within

COARSE = 64
"""Side of the picture in which it is seen what hangs together with the head."""


def split_layers(photo: Tensor, alpha: Tensor, matte: Tensor) -> Tensor:
    """(B, 4, S, S) of ``photo`` (B, 3, H, W) in [-1, 1] with its head at ``alpha`` (B, 1, S, S): the picture behind the person,
    filled in from around, and the person's share of each pixel, 0..1, which is 1 well within the head.

    ``matte`` (B, 1, M, M) in 0..1 says where the photograph shows people (``faces.matting``); the one that hangs together with the
    head counts.
    """
    size = alpha.shape[-1]
    photo, matte = (_at(layer, size) for layer in (photo, matte))
    # The mesh may reach beyond the head that the photograph shows, above all at short hair: only its core is taken on trust.
    core = well_within(alpha)
    person = torch.maximum(matte * _reached(matte, core), core)
    hole = (dilated(person, 2 * max(1, round(size / 64)) + 1) > 0.05).to(photo.dtype)
    return torch.cat([filled(photo, 1 - hole), person], 1)


def _reached(matte: Tensor, head: Tensor) -> Tensor:
    """(B, 1, S, S) in 0..1: 1 where the matte can be reached from the head without leaving it."""
    size = matte.shape[-1]
    coarse = min(COARSE, size)
    small = interpolate(matte, (coarse, coarse), mode="area")
    seed = (interpolate(head, (coarse, coarse), mode="area") > 0.5).to(matte.dtype)
    reached = (joined(small, seed) > 0.25).to(matte.dtype)
    # Strands are thinner than a coarse pixel: what borders on the person still belongs to it.
    return interpolate(max_pool2d(reached, 3, 1, 1), (size, size), mode="bilinear")


def _at(layer: Tensor, size: int) -> Tensor:
    if layer.shape[-2:] == (size, size):
        return layer
    return interpolate(layer, (size, size), mode="area" if layer.shape[-1] > size else "bilinear")
