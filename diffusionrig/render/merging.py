"""Several photographs of one person carried to the same edit: the source where it shows what is wanted, others elsewhere."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from diffusionrig.render.carrying import Carried, relit
from diffusionrig.render.trust import ramp

BORROWED = 0.85
"""Confidence of what another photograph lends, at most: it was taken at another time, in another light."""

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
        share = where * ramp(other.confidence, 0.3, 0.8) * (1 - ramp(confidence, 0.1, 0.6))
        matched = relit(other.picture, _gain(picture, other.picture, base.buffers.alpha * confidence * other.confidence))
        picture = torch.lerp(picture, matched, share)
        confidence = torch.maximum(confidence, BORROWED * share * other.confidence)
    return dataclasses.replace(base, picture=picture, confidence=confidence)


def _gain(picture: Tensor, other: Tensor, weight: Tensor) -> Tensor:
    """(B, 3, 1, 1) by which the values of ``other`` are to be multiplied, from its weighted means; 1 where too little is shared."""
    wanted, found = (((one + 1) * weight).sum((2, 3), keepdim=True) for one in (picture, other))
    enough = weight.sum((2, 3), keepdim=True) > 0.002 * weight.shape[-1] ** 2
    gain = (wanted / found.clamp_min(1e-6)).clamp(1 / GAIN, GAIN)
    return torch.where(enough, gain, torch.ones_like(gain))
