"""How much a drawn clip flickers beside the clip that drives it: what changes from frame to frame beyond the movement of the head.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from diffusionrig.capture.fit.view import crop_view
from diffusionrig.geometry.face_code import CROP_SIZE, FaceCode, whole_frame_crop
from diffusionrig.geometry.head import HeadModel
from diffusionrig.render.interpolation import interpolate
from diffusionrig.render.posing import pose_heads
from diffusionrig.render.trust import pixel_plane

WHOLE = 60
"""Frames up to which every frame of a clip is looked at."""

WINDOWS, LENGTH = 10, 6
"""Of longer clips, so many stretches of so many frames, spread evenly."""

FACING = 0.4
"""Cosine with the view below which the surface is too near the rim to be followed."""

STILL = 0.05
"""Levels of 255: a driver that changes by less holds still, and nothing can be said relative to it."""


def stretches(count: int) -> list[range]:
    """Successive frames of a clip of ``count`` that steadiness is measured on."""
    if count <= WHOLE:
        return [range(count)]
    return [range(start, start + LENGTH) for start in np.linspace(0, count - LENGTH, WINDOWS).round().astype(int).tolist()]


@dataclasses.dataclass
class Flicker:
    """Root mean square difference, in levels of 255, of each frame from the one before, moved as the mesh moves, where the head's
    surface faces the viewer."""

    head: HeadModel
    size: int
    squares: float = 0.0
    weight: float = 0.0

    def add(self, pictures: Sequence[np.ndarray], code: FaceCode, centre: Tensor | None = None) -> None:
        """Successive frames, each (S, S, 3) uint8 of ``size``, which show the faces of ``code``; ``centre`` as in ``pose_heads``.
        """
        before = None
        for row, picture in enumerate(pictures):
            with torch.inference_mode():
                posed = pose_heads(self.head, code[row], self.size, None if centre is None else centre[row:row + 1])
                shown = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float().to(posed.points)
                if before is not None:
                    shift = interpolate(posed.fragments, self.head.faces, before[1].points - posed.points)[:, :2]
                    flow = (pixel_plane(shown, self.size) + shift).permute(0, 2, 3, 1)
                    moved = grid_sample(before[0], flow, mode="bicubic", padding_mode="border", align_corners=False)
                    mask = posed.buffers.alpha * (posed.buffers.normal[:, 2:] > FACING)
                    self.squares += float(((moved - shown).square() * mask).sum())
                    self.weight += float(3 * mask.sum())
            before = shown, posed

    @property
    def level(self) -> float | None:
        """None where there is nothing to measure."""
        return (self.squares / self.weight) ** 0.5 if self.weight else None


def face_view(image: np.ndarray, code: FaceCode, size: int) -> np.ndarray:
    """The crop of ``code`` (batch 1) out of the frame it was captured from, (size, size, 3) uint8."""
    return crop_view(image, code.crop[0].cpu(), size)[0]


def as_crops(code: FaceCode) -> FaceCode:
    """The same faces in pictures that are their crops."""
    frame = torch.full_like(code.frame, float(CROP_SIZE))
    return code.replace(crop=whole_frame_crop(frame), frame=frame)


def flicker_figures(drawn: float | None, driver: float | None) -> dict[str, float | None]:
    """``drawn`` and ``driver``: levels; ``ratio``: drawn over driver, None where the driver holds still."""
    ratio = drawn / driver if drawn is not None and driver is not None and driver > STILL else None
    return {name: None if value is None else round(value, 4) for name, value in
            (("drawn", drawn), ("driver", driver), ("ratio", ratio))}
