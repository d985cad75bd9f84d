"""The reference condition as the network takes it: the channels of a carried photograph, in a fixed order."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from diffusionrig.render.carrying import RATIO_LIMIT, Carried
from diffusionrig.render.trust import pixel_plane

CHANNELS = {"picture": 3, "confidence": 1, "change": 1, "ratio": 3, "background": 3, "normal": 3, "rendered": 3, "heads": 2,
            "flow": 2}
"""Names and numbers of the channels. ``model.config`` knows their sum and where picture and change lie."""

FLOW_UNIT = 8.0
"""Displacements are given in eighths of half the picture's width."""


def reference_condition(carried: Carried) -> Tensor:
    """(B, 21, S, S) float32: pictures in [-1, 1], confidence and change -1..1 and 0..1, the logarithm of the ratio over that of its
    limit, normals as they are, rendered -1..1, the heads after and before as 0 or 1, displacement times ``FLOW_UNIT``."""
    rendered = carried.buffers.rendered.clamp(0, 1) * 2 - 1
    shift = (carried.flow - pixel_plane(carried.flow, carried.flow.shape[-1])) * FLOW_UNIT
    return torch.cat([carried.picture, carried.confidence * 2 - 1, carried.change, carried.ratio.log() / math.log(RATIO_LIMIT),
                      carried.background, carried.buffers.normal, rendered, carried.buffers.alpha, carried.heads,
                      shift.clamp(-2, 2)], 1)
