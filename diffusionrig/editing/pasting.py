"""An edited face back in its photograph: only the square of the face changes, fading out towards its border.

The network's picture is often coarser than the photograph. So not the picture is pasted but what the edit changed in it; the
photograph keeps its own fine detail (pores, hair) wherever the edit changed light or colour smoothly, and loses it where the
edit drew other shapes, whose old edges would shine through.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

FEATHER = 1 / 8
"""Share of the square's side over which the seam fades."""

SAME_SHAPE, OTHER_SHAPE = 18.0, 40.0
"""Grey levels of the change's fine structure up to which shapes count as kept, and from which on as other ones."""

FINEST = 64
"""Side in pixels at which fine structure is one to three pixels wide; it grows with the picture."""


def paste_back(photo: np.ndarray, result: np.ndarray, source: np.ndarray, matrix: np.ndarray, size: int,
               others: Sequence[np.ndarray] = ()) -> np.ndarray:
    """``photo`` (H, W, 3) uint8 with the change from ``source`` to ``result``, aligned pictures (S, S, 3) uint8, laid in.

    ``matrix`` (3, 3) takes photo pixels to those of an aligned picture of ``size`` pixels (``faces.alignment.AlignedFace``,
    ``faces.placement.Placement``). Beyond that square, where result and source agree, and on the ``others``, boxes (4,) of faces
    that are not to change, not a bit of the photograph changes.
    """
    side = result.shape[0]
    to_picture = scaling(size, side) @ matrix
    place = bounds(np.linalg.inv(to_picture), side, photo.shape)
    if place is None:
        return photo.copy()
    left, top, right, bottom = place
    part = photo[top:bottom, left:right].astype(np.float32)
    shift = np.array([[1.0, 0.0, left], [0.0, 1.0, top], [0.0, 0.0, 1.0]])
    there = to_picture @ shift
    before = source.astype(np.float32)
    change = result.astype(np.float32) - before
    other = other_shapes(change)
    layers = [laid_out(layer, there, part.shape) for layer in (change, before, other[..., None])]
    fine = part - layers[1]
    weight = (_seam(there, side, part.shape) * shield(others, place))[..., None]
    pasted = part + weight * (layers[0] - np.clip(layers[2], 0, 1) * fine)
    whole = photo.copy()
    whole[top:bottom, left:right] = np.clip(np.rint(pasted), 0, 255).astype(np.uint8)
    return whole


def scaling(size: int, side: int) -> np.ndarray:
    """Pixels of a picture of ``size`` to those of the same picture at ``side``; (0, 0) is a pixel's centre."""
    scale = side / size
    return np.array([[scale, 0.0, (scale - 1) / 2], [0.0, scale, (scale - 1) / 2], [0.0, 0.0, 1.0]])


def bounds(back: np.ndarray, side: int, shape: tuple[int, ...]) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom of the photo's pixels that the square reaches; None when it reaches none."""
    corners = np.array([[-0.5, -0.5, 1.0], [side - 0.5, -0.5, 1.0], [side - 0.5, side - 0.5, 1.0], [-0.5, side - 0.5, 1.0]])
    points = (corners @ back.T)[:, :2]
    low = np.maximum(np.floor(points.min(0)).astype(int), 0)
    high = np.minimum(np.ceil(points.max(0)).astype(int) + 1, [shape[1], shape[0]])
    return None if (high <= low).any() else (int(low[0]), int(low[1]), int(high[0]), int(high[1]))


def laid_out(layer: np.ndarray, to_picture: np.ndarray, shape: tuple[int, ...], how: int = cv2.INTER_CUBIC) -> np.ndarray:
    """A layer (S, S, C) of the picture resampled to the photo's pixels, (h, w, C)."""
    # OpenCV takes four channels at most.
    groups = [layer[..., first:first + 4] for first in range(0, layer.shape[2], 4)]
    return np.concatenate([_laid_out(group, to_picture, shape, how) for group in groups], 2)


def _laid_out(layer: np.ndarray, to_picture: np.ndarray, shape: tuple[int, ...], how: int) -> np.ndarray:
    side = layer.shape[0]
    layer = np.ascontiguousarray(layer)
    coarse = round(side / float(np.sqrt(abs(np.linalg.det(to_picture)))))
    if 0 < coarse < side:
        # The photograph has fewer pixels than the picture: each shows the mean of what it covers.
        layer = cv2.resize(layer, (coarse, coarse), interpolation=cv2.INTER_AREA).reshape(coarse, coarse, -1)
        to_picture = scaling(side, coarse) @ to_picture
    out = cv2.warpAffine(layer, to_picture[:2], (shape[1], shape[0]), flags=how | cv2.WARP_INVERSE_MAP,
                         borderMode=cv2.BORDER_REPLICATE)
    return out.reshape(*shape[:2], -1)


def shield(others: Sequence[np.ndarray], window: tuple[int, int, int, int]) -> np.ndarray:
    """(h, w) float32 weight of an edit within ``window`` (left, top, right, bottom) of the photograph: 0 on the heads around the
    boxes (4,) of other faces, 1 from a fourth of such a box away on, smooth between."""
    left, top, right, bottom = window
    weight = np.ones((bottom - top, right - left), np.float32)
    x, y = np.arange(left, right, dtype=np.float32)[None], np.arange(top, bottom, dtype=np.float32)[:, None]
    for low_x, low_y, high_x, high_y in others:
        wide, high = high_x - low_x, high_y - low_y
        # Boxes hold the landmarks, which end at brows and chin: heads are wider, and reach above them.
        across = np.maximum(np.maximum(low_x - 0.15 * wide - x, x - high_x - 0.15 * wide), 0)
        down = np.maximum(np.maximum(low_y - 0.5 * high - y, y - high_y - 0.1 * high), 0)
        share = np.clip(np.hypot(across, down) / (0.25 * max(wide, high)), 0, 1)
        weight *= share * share * (3 - 2 * share)
    return weight


def _seam(to_picture: np.ndarray, side: int, shape: tuple[int, ...]) -> np.ndarray:
    """(h, w) weight of the pasted face: 0 beyond the square, 1 from FEATHER of its side inwards, smooth between."""
    x, y = np.meshgrid(np.arange(shape[1], dtype=np.float64), np.arange(shape[0], dtype=np.float64))
    u, v = (to_picture[row, 0] * x + to_picture[row, 1] * y + to_picture[row, 2] + 0.5 for row in range(2))
    inwards = np.minimum(np.minimum(u, side - u), np.minimum(v, side - v)) / side
    share = np.clip(inwards / FEATHER, 0, 1)
    return (share * share * (3 - 2 * share)).astype(np.float32)


def other_shapes(change: np.ndarray) -> np.ndarray:
    """(S, S) in 0..1: where a change (S, S, 3) in grey levels draws other shapes, from its fine structure."""
    unit = max(1.0, change.shape[0] / FINEST)
    rough = np.abs(change - cv2.GaussianBlur(change, (0, 0), 2 * unit)).max(2)
    reach = 2 * round(2 * unit) + 1
    rough = cv2.dilate(rough, np.ones((reach, reach), np.uint8))
    return np.clip((cv2.GaussianBlur(rough, (0, 0), unit) - SAME_SHAPE) / (OTHER_SHAPE - SAME_SHAPE), 0, 1)
