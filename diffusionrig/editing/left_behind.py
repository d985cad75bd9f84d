"""What a head that moves leaves open beyond its aligned square: hair that the square cuts off must not stay where it was."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch.nn.functional import grid_sample, pad

from diffusionrig.editing.pasting import scaling
from diffusionrig.faces.matting import person_matte
from diffusionrig.render.carrying import BETWEEN, FRINGE, OUTLINE, Carried
from diffusionrig.render.filling import distance, filled
from diffusionrig.render.layers import split_layers
from diffusionrig.render.trust import MOVED, STILL, dilated, length, pixel_plane, ramp, softened


def left_behind(photo: np.ndarray, to_wide: np.ndarray, margin: int, carried: Carried) -> np.ndarray | None:
    """(S + 2 margin, S + 2 margin, 4) float32: the picture behind the person, grey levels, and the share in 0..1 of it where the
    person was and went from, on the square of ``carried`` (batch 1) with ``margin`` pixels around; None when nothing moves at the
    border of the square. ``to_wide`` (3, 3) takes pixels of ``photo`` (H, W, 3) uint8 there.
    """
    shift = (carried.flow - pixel_plane(carried.flow, carried.flow.shape[-1])).float().cpu()
    if float(torch.stack([length(edge).max() for edge in (shift[..., :1, :], shift[..., -1:, :], shift[..., :1],
                                                          shift[..., -1:])]).max()) < STILL:
        return None
    side, wide = shift.shape[-1], shift.shape[-1] + 2 * margin
    around = torch.from_numpy(_seen(photo, to_wide, wide)).permute(2, 0, 1)[None].float() / 127.5 - 1
    heads, alpha = (pad(mask.float().cpu(), (margin,) * 4) for mask in (carried.heads, carried.buffers.alpha))
    background, person = split_layers(around, heads, person_matte(around)).split([3, 1], 1)
    # Background rests by itself: how its surroundings move, the head and what moved with it say.
    known = torch.maximum(alpha, pad((length(shift) > STILL).float(), (margin,) * 4))
    square = pad(torch.ones(1, 1, side, side), (margin,) * 4)
    reach = margin / wide
    moved = filled(pad(shift, (margin,) * 4) * (side / wide), known) * (1 - ramp(distance(square, reach), 0.0, reach))
    flow = (pixel_plane(moved, wide) + moved).permute(0, 2, 3, 1)
    # Outlines are half background.
    inner = -dilated(-person, OUTLINE)
    arrives = ramp(grid_sample(inner, flow, padding_mode="border", align_corners=False), *BETWEEN)
    gone = dilated(person, FRINGE) * ramp(length(moved), STILL, MOVED) * (1 - arrives)
    return np.ascontiguousarray(torch.cat([(background + 1) * 127.5, softened(gone)], 1)[0].permute(1, 2, 0).numpy())


def _seen(photo: np.ndarray, to_wide: np.ndarray, wide: int) -> np.ndarray:
    """(wide, wide, 3) uint8: the photograph in that square; beyond its border lies its mirror image."""
    height, width = photo.shape[:2]
    scale = float(np.sqrt(abs(np.linalg.det(to_wide[:2, :2]))))
    if scale < 0.5:
        # OpenCV's warp looks at four pixels, however many each one of the result covers.
        coarse = max(1, round(width * scale)), max(1, round(height * scale))
        photo = cv2.resize(photo, coarse, interpolation=cv2.INTER_AREA)
        across, down = scaling(width, coarse[0]), scaling(height, coarse[1])
        to_wide = to_wide @ np.linalg.inv(np.array([across[0], down[1], across[2]]))
    return cv2.warpAffine(photo, to_wide[:2], (wide, wide), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
