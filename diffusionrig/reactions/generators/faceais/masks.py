"""Who sees whom, in patches: the causal structure of the predictor in one place.

Streams begin with a patch that shows nothing, so position patch j of the listener's stream holds its frames of patch j - 1 and is
read for patch j; that of the speaker's stream holds the speaker's frames of patch j - 1. "Patches up to j" is thus "frames before
patch j", and one rule serves both.
"""

from __future__ import annotations

import torch
from torch import Tensor


def causal(patches: int, patch: int, context: int) -> Tensor:
    """(T, T) bool: a position sees its own patch and those before it, ``context`` frames with its own in all."""
    behind = _behind(patches, patch)
    return (behind >= 0) & (behind < context // patch)


def both_ways(patches: int, patch: int, context: int) -> Tensor:
    """(T, T) bool: as far ahead as behind."""
    return _behind(patches, patch).abs() < context // patch


def _behind(patches: int, patch: int) -> Tensor:
    """(T, T): by how many patches each key lies before each query."""
    number = torch.arange(patches * patch) // patch
    return number[:, None] - number[None, :]
