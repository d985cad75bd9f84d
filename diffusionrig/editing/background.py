"""The source's own pixels around an edited head.

Inverted noise brings the background back nearly, not wholly: the network shades it with the head. So what an edit left alone
is laid over its result from the source picture. The head model knows where heads are, but not hair. A head that stays in
place keeps its hair in place too, so all beyond both heads is the source's. A head that turns takes its hair along, and its
old hair pinned beside the new would be a ghost; there the drawing itself tells: what it shows unlike the source, joined to
the head, is hair that came or went, and stays as drawn.
"""

from __future__ import annotations

import torch
from torch import Tensor

from diffusionrig.editing.keeping import smoothed, spread
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.rotations import axis_angle_to_matrix
from diffusionrig.render.buffers import PhysicalBuffers
from diffusionrig.render.filling import joined

STILL = 0.5
"""Degrees of turning below which a head counts as kept in place, with its hair."""

ALIKE, UNLIKE = 20 / 127.5, 50 / 127.5
"""Differences of smoothed pictures (in [-1, 1]; 20 and 50 grey levels) up to which a pixel shows the same, and from which on it
shows something else."""


def turned(before: FaceCode, after: FaceCode) -> Tensor:
    """(B,) degrees between the head rotations of two codes."""
    first, second = (axis_angle_to_matrix(code.pose[:, :3].double()) for code in (before, after))
    trace = (first * second).sum((1, 2))
    return torch.rad2deg(torch.acos(((trace - 1) / 2).clamp(-1, 1)))


def drawn_share(source: Tensor, drawn: Tensor, own: PhysicalBuffers, edited: PhysicalBuffers, turn: Tensor) -> Tensor:
    """(B, 1, H, W) in 0..1: how much of ``drawn`` to show over ``source``, both (B, 3, H, W) in [-1, 1].

    1 on both heads, the source's (``own`` buffers) and the ``edited`` one, falling to 0 within one border (``keeping.FINEST``)
    around them; ``turn`` (B,) is by how many degrees they differ.
    """
    heads = torch.maximum(own.alpha, edited.alpha)
    near = torch.maximum((2 * smoothed(heads)).clamp(max=1), heads)
    apart = (smoothed(drawn) - smoothed(source)).abs().amax(1, keepdim=True)
    unlike = ((apart - ALIKE) / (UNLIKE - ALIKE)).clamp(0, 1)
    moving = (turn > STILL)[:, None, None, None]
    return torch.where(moving, torch.maximum(near, spread(joined(unlike, heads))), near)


def with_background(source: Tensor, drawn: Tensor, own: PhysicalBuffers, edited: PhysicalBuffers, turn: Tensor) -> Tensor:
    """``drawn`` with the background of ``source``, (B, 3, H, W); beyond the share drawn, the source's very values."""
    return torch.lerp(source, drawn, drawn_share(source, drawn, own, edited, turn))
