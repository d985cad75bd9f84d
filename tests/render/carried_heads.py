"""Heads to carry photographs with: relaxed people in the middle of the picture, edits of them, what is carried."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from diffusionrig.geometry.alignment import ffhq_centre
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.randomness import torch_stream
from diffusionrig.render.carrying import Carried, carry
from diffusionrig.render.layers import split_layers
from diffusionrig.render.posing import Posed, pose_heads

SIZE = 128

def portrait(head: HeadModel, seed: int = 0, turn: float = 0.0) -> FaceCode:
    """A relaxed person in the middle of the picture, turned to the side by ``turn`` degrees."""
    stream = torch_stream("carrying", seed)
    light = 0.15 * torch.randn(1, 9, 3, generator=stream)
    light[:, 0] += 3
    code = FaceCode(torch.randn(1, head.n_shape, generator=stream), torch.zeros(1, head.n_albedo),
                    torch.zeros(1, head.n_expression), torch.tensor([[0, math.radians(turn), 0, 0, 0, 0]]),
                    torch.tensor([[7.5, 0, 0]]), light, head.name)
    centre = ffhq_centre(head.landmarks(head.vertices(code), code))
    return code.replace(camera=torch.cat([code.camera[:, :1], -centre[:, :2]], 1))


def acted(head: HeadModel, code: FaceCode, **weights: float) -> FaceCode:
    expression = code.expression.clone()
    for name, weight in weights.items():
        expression[:, head.expression_names.index(name)] = weight
    return code.replace(expression=expression)


def centre_of(head: HeadModel, code: FaceCode) -> Tensor:
    return ffhq_centre(head.landmarks(head.vertices(code), code))


def layers_of(photo: Tensor, posed: Posed) -> Tensor:
    """Of a bald person: all that is not the head is behind it."""
    return split_layers(photo, posed.buffers.alpha, posed.buffers.alpha)


def carried(head: HeadModel, photo: Tensor, code: FaceCode, edited: FaceCode, centre: Tensor | None = None,
            size: int = SIZE) -> tuple[Carried, Posed, Posed]:
    with torch.no_grad():
        source, after = pose_heads(head, code, size), pose_heads(head, edited, size, centre)
        return carry(head, photo, layers_of(photo, source), source, after), source, after
