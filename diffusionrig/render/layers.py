"""A photograph as two layers: the person, whose hair goes where the head goes, and what is behind, which stays.

A head model has no hair. Around the head, what looks unlike the surroundings farther out and hangs together with the head is taken
for hair. On busy backgrounds some of these are taken along too; nothing is learned here.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d, pad

from diffusionrig.render.filling import distance, filled, joined
from diffusionrig.render.trust import dilated, ramp

COARSE = 64
"""Side of the picture that hair is looked for in."""

REACH, END = 0.14, 0.24
"""Distances from the head, in picture widths, up to which there may be hair, and from which on there is none."""

ALIKE, UNLIKE = 0.16, 0.40
"""Differences from the surroundings, in a picture of -1..1, up to which a pixel belongs to them, and from which on it is hair."""

FEWEST = 0.02
"""Share of the picture that must lie beyond ``REACH`` for the surroundings to be known at all."""


def split_layers(photo: Tensor, alpha: Tensor) -> Tensor:
    """(B, 4, S, S) of ``photo`` (B, 3, H, W) in [-1, 1] with its head at ``alpha`` (B, 1, S, S): the picture behind the person,
    filled in from around, and the person's share of each pixel, 0..1, which is 1 well within the head.

    Where too little of the surroundings is in the picture, all within ``REACH`` counts as the person.
    """
    size = alpha.shape[-1]
    if photo.shape[-1] != size:
        photo = interpolate(photo, (size, size), mode="area" if photo.shape[-1] > size else "bilinear")
    # The mesh may reach beyond the head that the photograph shows, above all at short hair: only its core is taken on trust.
    core = 1 - dilated(1 - alpha, _odd(size / 24))
    person = torch.maximum(_hair(photo, alpha), core)
    hole = (dilated(person, _odd(size / 32)) > 0.05).to(photo.dtype)
    return torch.cat([filled(photo, 1 - hole), person], 1)


def _hair(photo: Tensor, alpha: Tensor) -> Tensor:
    """(B, 1, S, S) in 0..1, the share of each pixel that is hair, or shows the head."""
    size = alpha.shape[-1]
    coarse = min(COARSE, size)
    small = interpolate(photo, (coarse, coarse), mode="area")
    head = (interpolate(alpha, (coarse, coarse), mode="area") > 0.25).to(photo.dtype)
    far = 1 - dilated(head, _odd(2 * REACH * coarse))
    around = filled(small, far)
    near = 1 - ramp(distance(head, END), REACH, END)
    known = (far.mean((1, 2, 3), keepdim=True) > FEWEST).to(photo.dtype)
    unlike = torch.lerp(torch.ones_like(head), _unlike(small, around), known) * near
    reached = max_pool2d(joined(unlike, head), 3, 1, 1)
    reached, around = (interpolate(layer, (size, size), mode="bilinear") for layer in (reached, around))
    fine = torch.lerp(torch.ones_like(alpha), _unlike(photo, around), known)
    return reached * avg_pool2d(pad(fine, (1,) * 4, mode="replicate"), 3, 1)


def _unlike(photo: Tensor, around: Tensor) -> Tensor:
    return ramp((photo - around).abs().amax(1, keepdim=True), ALIKE, UNLIKE)


def _odd(pixels: float) -> int:
    return 2 * max(1, round(pixels / 2)) + 1
