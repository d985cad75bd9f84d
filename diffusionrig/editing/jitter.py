"""How much drawn frames flicker: their second difference in time, against that of the buffers they were drawn from."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from diffusionrig.geometry.camera import image_points, pixels
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.render.buffers import PhysicalBuffers

STILL = 0.1
"""Levels of 255: below this the buffers stand still, and nothing can be said relative to them."""


class Jitter:
    """Feed the frames of a clip in order, then ask.

    The second difference of three frames, x(t+1) - 2 x(t) + x(t-1), is zero for what stands still or changes evenly and large for
    what flickers. Its root mean square is taken over all pixels that the head covers in all three frames, for the drawn frames
    and for the rendered buffer, both in levels of 255, and for the drawn frames also over pixels it covers in none of them.
    """

    def __init__(self) -> None:
        self._drawn: list[Tensor] = []
        self._rendered: list[Tensor] = []
        self._alpha: list[Tensor] = []
        self._sums = torch.zeros(5, dtype=torch.float64)  # squares: drawn, rendered, background; values: head, background

    def add(self, drawn: Tensor, buffers: PhysicalBuffers) -> None:
        """One frame: ``drawn`` (3, H, W) in 0..255, and its buffers (batch 1, of that size)."""
        for kept, new in ((self._drawn, drawn.double()), (self._rendered, buffers.rendered[0].double().clamp(0, 1) * 255),
                          (self._alpha, buffers.alpha[0].double())):
            kept.append(new.cpu())
            del kept[:-3]
        if len(self._drawn) < 3:
            return
        inside = self._alpha[0] * self._alpha[1] * self._alpha[2]
        outside = (1 - self._alpha[0]) * (1 - self._alpha[1]) * (1 - self._alpha[2])
        drawn_change, change = (frames[2] - 2 * frames[1] + frames[0] for frames in (self._drawn, self._rendered))
        self._sums += torch.stack([(drawn_change.square() * inside).sum(), (change.square() * inside).sum(),
                                   (drawn_change.square() * outside).sum(), 3 * inside.sum(), 3 * outside.sum()])

    def cut(self) -> None:
        """What follows does not go on from what came before."""
        for kept in (self._drawn, self._rendered, self._alpha):
            kept.clear()

    def figures(self) -> dict[str, Any]:
        """``head`` and ``buffers``: levels within the head; ``background``: levels outside; ``ratio``: head over buffers.

        Each None where there is nothing to measure: fewer than three frames, no such pixels, buffers that stand still.
        """
        head, buffers, background = (
            float((self._sums[i] / self._sums[n]).sqrt()) if self._sums[n] else None for i, n in ((0, 3), (1, 3), (2, 4)))
        ratio = head / buffers if head is not None and buffers is not None and buffers > STILL else None
        return {name: None if value is None else round(value, 4) for name, value in (
            ("head", head), ("buffers", buffers), ("background", background), ("ratio", ratio))}


def landmark_jitter(head: HeadModel, code: FaceCode, size: int) -> float | None:
    """Root mean square second difference in time of the 68 landmarks of ``code`` (T faces), in pixels of a frame of ``size``."""
    if len(code) < 3:
        return None
    with torch.inference_mode():
        points = torch.cat([pixels(image_points(head.landmarks(head.vertices(part), part), part), size, size)
                            for part in (code[start:start + 32] for start in range(0, len(code), 32))])
    change = points[2:] - 2 * points[1:-1] + points[:-2]
    return round(float(change.square().sum(-1).mean().sqrt()), 4)
