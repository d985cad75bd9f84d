"""Which vertex of a head lies where another one would in the mirror."""

from __future__ import annotations

import torch
from torch import Tensor

from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.resting import resting_code

_KNOWN: dict[str, Tensor] = {}


def mirrored_vertices(head: HeadModel) -> Tensor:
    """(V,) int64: for each vertex the one of the other half that lies nearest to its mirror image, on the mean head at rest."""
    if head.hash not in _KNOWN:
        mean = head.vertices(resting_code(head))[0].float()
        _KNOWN[head.hash] = torch.cdist(mean * mean.new_tensor([-1.0, 1.0, 1.0]), mean).argmin(1).cpu()
    return _KNOWN[head.hash].to(head.faces.device)
