"""Which vertex of a head lies where another one would in the mirror."""

from __future__ import annotations

import torch
from torch import Tensor

from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel

_KNOWN: dict[str, Tensor] = {}


def mirrored_vertices(head: HeadModel) -> Tensor:
    """(V,) int64: for each vertex the one of the other half that lies nearest to its mirror image, on the mean head at rest."""
    if head.hash not in _KNOWN:
        device = head.faces.device
        rest = FaceCode(shape=torch.zeros(1, head.n_shape), albedo=torch.zeros(1, head.n_albedo),
                        expression=torch.zeros(1, head.n_expression), pose=torch.zeros(1, 6), camera=torch.ones(1, 3),
                        light=torch.zeros(1, 9, 3), head=head.name).to(device)
        mean = head.vertices(rest)[0].float()
        _KNOWN[head.hash] = torch.cdist(mean * mean.new_tensor([-1.0, 1.0, 1.0]), mean).argmin(1).cpu()
    return _KNOWN[head.hash].to(head.faces.device)
