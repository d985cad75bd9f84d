"""A carried edit at the photograph's own resolution: its own pixels go along the flow, and what the network drew is added.

The flow and the ratio of shadings were found at the network's size; they are smooth, so they are enlarged, and the photograph is
sampled along them with all of its detail. What the network changed in the carried picture is enlarged and added. Where the
source does not show what the edit shows there is no detail to carry: there the network's picture stands alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from diffusionrig.editing.left_behind import left_behind
from diffusionrig.editing.pasting import bounds, laid_out, other_shapes, scaling, shield
from diffusionrig.io.sheets import to_uint8
from diffusionrig.render.carrying import Carried, relit, sampled
from diffusionrig.render.filling import REST, distance, faded
from diffusionrig.render.trust import pixel_plane, ramp

FEATHER = 1 / 16
"""Share of the square's side over which the network's part fades out towards its border."""

LOST, SHOWN = 0.05, 0.35
"""Confidences up to which nothing of the carried detail is shown, and from which on all of it."""

SMOOTH, TORN = 1.5, 3.0
"""Differences of neighbouring displacements, in pixels of the network's picture, up to which the flow is one surface's, and from
which on it is two surfaces' that meet there: between them it leads nowhere."""

BORDER = 0.03
"""Distance from the heads, in sides of the square, at which all around a head that keeps still rests."""

ALIKE, LENT = 3.0, 9.0
"""Grey levels between the carried picture and the source along the flow, up to which it is the source's, and from which on it was
lent from elsewhere."""

AT_REST = 1 / 64
"""Displacement in pixels of the photograph that is none, and logarithm of a ratio, or share of change, likewise (in 1/16)."""

ROWS = 128
"""Rows of the photograph that are worked on together, which bounds the memory."""


def carry_back(photo: np.ndarray, result: np.ndarray, source: np.ndarray, carried: Carried, matrix: np.ndarray, size: int,
               others: Sequence[np.ndarray] = (), still: bool = False) -> np.ndarray:
    """``photo`` (H, W, 3) uint8 with an edit of the face whose aligned picture of ``size`` pixels ``matrix`` (3, 3) leads to.

    ``result`` (S, S, 3) uint8 was drawn on what was ``carried`` (batch 1) of the ``source``, the aligned picture of that size.
    What moves at the border of the aligned square goes on moving beyond it, less and less; a head that keeps ``still``, whose face
    alone moves, takes nothing around it along. Where nothing moves, no light changes and nothing was drawn anew, and on the
    ``others``, boxes (4,) of faces that are not to change, not a bit of the photograph changes.
    """
    side = result.shape[0]
    to_picture = scaling(size, side) @ matrix
    margin = round(REST * side)
    near = _near(carried) if still else torch.ones(1, 1, side, side)
    moving = _beyond(carried, near, margin, BORDER if still else REST)
    to_wide = np.array([[1.0, 0.0, margin], [0.0, 1.0, margin], [0.0, 0.0, 1.0]]) @ to_picture
    whole = photo.copy()
    place = bounds(np.linalg.inv(to_wide), side + 2 * margin, photo.shape)
    if place is None:
        return whole
    drawn = _drawn(result, source, carried, near[0, 0].numpy())
    behind = None if still else left_behind(photo, to_wide, margin, carried)
    left, top, right, bottom = place
    for start in range(top, bottom, ROWS):
        window = (left, start, right, min(start + ROWS, bottom))
        _carry_window(whole, photo, window, to_picture, to_wide, moving, drawn, behind, others)
    return whole


def _near(carried: Carried) -> Tensor:
    """(1, 1, S, S) 1 on the heads before and after, 0 from BORDER away on, smooth between."""
    heads = torch.maximum(carried.heads, carried.buffers.alpha).float().cpu()
    return 1 - ramp(distance(heads, BORDER), 0.0, BORDER)


def _beyond(carried: Carried, near: Tensor, margin: int, reach: float) -> np.ndarray:
    """(S + 2 margin, S + 2 margin, 5) float32: displacement x, y in pixels of the picture and the logarithm of the ratio, as
    far as they are ``near`` (1, 1, S, S), going on beyond the square and fading out there within ``reach`` of its sides."""
    known = torch.cat([_shift(carried), carried.ratio.log().float().cpu()], 1) * near
    side = near.shape[-1]
    wide = torch.nn.functional.pad(known, (margin,) * 4)
    mask = torch.nn.functional.pad(torch.ones_like(known[:, :1]), (margin,) * 4)
    return np.ascontiguousarray(faded(wide, mask, min(reach * side, margin) / (side + 2 * margin))[0].permute(1, 2, 0).numpy())


def _shift(carried: Carried) -> Tensor:
    """(1, 2, S, S) float32 displacement in pixels of the picture."""
    side = carried.flow.shape[-1]
    return ((carried.flow - pixel_plane(carried.flow, side)) * (side / 2)).float().cpu()


def _drawn(result: np.ndarray, source: np.ndarray, carried: Carried, near: np.ndarray) -> np.ndarray:
    """(S, S, 9) float32: what was drawn on the carried picture in grey levels, the carried picture itself, how much of its detail
    is shown (0..1), how much may have changed (0..1), and how far all of this counts: ``near`` (S, S)."""
    base = to_uint8(carried.picture[0].cpu().numpy(), -1, 1).astype(np.float32)
    # What a head leaves open shows the filled background, which is new as well.
    altered = torch.maximum(carried.change, 1 - carried.confidence)
    confidence, change = (values[0, 0].float().cpu().numpy() for values in (carried.confidence, altered))
    # A network that runs in bf16 rounds what it was to leave as it is.
    residual = (result.astype(np.float32) - base) * (change > 0)[..., None]
    shift, window = np.ascontiguousarray(_shift(carried)[0].permute(1, 2, 0).numpy()), np.ones((3, 3), np.uint8)
    torn = (cv2.dilate(shift, window) - cv2.erode(shift, window)).max(2)
    # What another photograph or the other half of the face lent does not lie at the flow's end.
    image = torch.from_numpy(source.astype(np.float32)).permute(2, 0, 1)[None] / 127.5 - 1
    own = to_uint8(relit(sampled(image, carried.flow.float().cpu()), carried.ratio.float().cpu())[0].numpy(), -1, 1)
    lent = cv2.GaussianBlur(np.abs(base - own).max(2), (0, 0), 1.0)
    detail = _ramp(confidence, LOST, SHOWN) * (1 - _ramp(torn, SMOOTH, TORN)) * (1 - other_shapes(residual))
    detail *= 1 - _ramp(lent, ALIKE, LENT)
    return np.ascontiguousarray(np.concatenate([residual, base, np.stack([detail, change, near], 2)], 2, dtype=np.float32))


def _carry_window(whole: np.ndarray, photo: np.ndarray, window: tuple[int, int, int, int], to_picture: np.ndarray,
                  to_wide: np.ndarray, moving: np.ndarray, drawn: np.ndarray, behind: np.ndarray | None,
                  others: Sequence[np.ndarray]) -> None:
    """Lay the edit into ``whole`` within ``window`` (left, top, right, bottom), pixels of the photograph."""
    left, top, right, bottom = window
    shape, side = (bottom - top, right - left), drawn.shape[0]
    here = np.array([[1.0, 0.0, left], [0.0, 1.0, top], [0.0, 0.0, 1.0]])
    shift_x, shift_y, *log = np.moveaxis(laid_out(moving, to_wide @ here, shape, cv2.INTER_LINEAR), 2, 0)
    back = np.linalg.inv(to_picture)[:2, :2]
    across, down = back[0, 0] * shift_x + back[0, 1] * shift_y, back[1, 0] * shift_x + back[1, 1] * shift_y
    ratio = np.stack(log, 2)
    layers = laid_out(drawn, to_picture @ here, shape)
    kept, near = shield(others, window), np.clip(layers[..., 8], 0, 1)
    at_rest = np.hypot(across, down) <= AT_REST
    across, down = (np.where(at_rest, 0, part * kept).astype(np.float32) for part in (across, down))
    x, y = np.meshgrid(np.arange(left, right, dtype=np.float32), np.arange(top, bottom, dtype=np.float32))
    carried = cv2.remap(photo, x + across, y + down, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101).astype(np.float32)
    lit = np.clip(carried * np.exp(ratio * kept[..., None]), 0, 255)
    weight = _within(to_picture, side, x, y) * _within(to_picture, side, x + across, y + down) * kept * near
    weight = weight[..., None]
    changed = ~at_rest
    if behind is not None:
        background, gone = np.split(laid_out(behind, to_wide @ here, shape, cv2.INTER_LINEAR), [3], 2)
        gone *= (1 - weight) * kept[..., None]
        lit += gone * (background - lit)
        changed |= gone[..., 0] > AT_REST
    residual, base, detail = layers[..., :3], layers[..., 3:6], np.clip(layers[..., 6:7], 0, 1)
    shown = lit + weight * (residual + (1 - detail) * (base - lit))
    redrawn = (layers[..., 7] > AT_REST / 16) & (weight[..., 0] > 0)
    changed = (changed | (np.abs(ratio).max(2) > AT_REST / 16) | redrawn) & (kept > 0)
    whole[top:bottom, left:right][changed] = np.clip(np.rint(shown), 0, 255).astype(np.uint8)[changed]


def _within(to_picture: np.ndarray, side: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """0 beyond the aligned square, 1 from FEATHER of its side inwards, smooth between, at places of the photograph."""
    matrix = to_picture.astype(np.float32)
    u, v = (matrix[row, 0] * x + matrix[row, 1] * y + (matrix[row, 2] + 0.5) for row in range(2))
    inwards = np.minimum(np.minimum(u, side - u), np.minimum(v, side - v)) / side
    return _ramp(inwards, 0.0, FEATHER)


def _ramp(value: np.ndarray, low: float, high: float) -> np.ndarray:
    share = np.clip((value - low) / (high - low), 0, 1)
    return share * share * (3 - 2 * share)
