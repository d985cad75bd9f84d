"""Several photographs of one person carried to the same edit: the source where it shows what is wanted, others elsewhere."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from diffusionrig.render.carrying import Carried, relit
from diffusionrig.render.trust import ramp

BORROWED = 0.85
"""Confidence of what another photograph lends, at most: it was taken at another time, in another light."""

NARROW = 256
"""Side in pixels of pictures in which lines of one and two pixels, in larger ones of so many times more, are left alone."""

GAIN = 1.5
"""Largest factor, and inverted smallest, by which another photograph's colours are matched to the source's."""


def merged(base: Carried, others: Sequence[Carried], where: Tensor) -> Carried:
    """``base`` with what it lacks filled in from ``others``, in their order, all B pictures of one edit, as far as ``where``
    (B, 1, S, S) in 0..1 allows.

    Each lends by its own confidence where the confidence so far is low, its colours scaled, channel by channel, to agree with the
    source's where both are confident.
    """
    picture, confidence = base.picture, base.confidence
    for other in others:
        share = opened(where * ramp(other.confidence, 0.3, 0.8) * (1 - ramp(confidence, 0.1, 0.6)))
        matched = relit(other.picture, _gain(picture, other.picture, base.buffers.alpha * confidence * other.confidence))
        picture = torch.lerp(picture, matched, share)
        confidence = torch.maximum(confidence, BORROWED * share * other.confidence)
    return dataclasses.replace(base, picture=picture, confidence=confidence)


def opened(share: Tensor) -> Tensor:
    """``share`` (B, 1, S, S) in 0..1 without lines of a pixel or two: along silhouettes confidence is low in such a line, and
    pixels of another photograph there are dots, which flicker when the head moves. Small pictures have no such lines."""
    reach = share.shape[-1] // NARROW
    shrunk = -functional.max_pool2d(-share, 2 * reach + 1, 1, reach)
    return torch.minimum(functional.max_pool2d(shrunk, 2 * reach + 1, 1, reach), share)


def _gain(picture: Tensor, other: Tensor, weight: Tensor) -> Tensor:
    """(B, 3, 1, 1) by which the values of ``other`` are to be multiplied, from its weighted means; 1 where too little is shared."""
    wanted, found = (((one + 1) * weight).sum((2, 3), keepdim=True) for one in (picture, other))
    enough = weight.sum((2, 3), keepdim=True) > 0.002 * weight.shape[-1] ** 2
    gain = (wanted / found.clamp_min(1e-6)).clamp(1 / GAIN, GAIN)
    return torch.where(enough, gain, torch.ones_like(gain))
