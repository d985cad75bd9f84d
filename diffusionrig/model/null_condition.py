"""The condition that stands for "none": what a network trained with dropped conditions sees in their place.

Buffers: zeros in all nine channels. That is what buffers hold outside the face, so the null says that no face is given; no
record with a face in it looks like it. Latent: zeros, the middle of what the encoder gives.

A checkpoint says in ``meta["null_condition"]`` which share of its training samples had the null: guidance against the null means
something only where that share is above zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

PARTS = ("buffers", "latent")


def null_share(meta: Mapping[str, Any], part: str) -> float:
    """Share of the training samples whose ``part`` ("buffers" or "latent") was the null; 0 where the checkpoint does not say."""
    return float((meta.get("null_condition") or {}).get(part, 0.0))


def keep_some(condition: Tensor, keep: Tensor) -> Tensor:
    """``condition`` (B, ...) where ``keep`` (B,) is true, the null elsewhere."""
    return condition * keep.to(condition.dtype).view(-1, *[1] * (condition.ndim - 1))
