"""How far a surface point of an edited head is shown by the source photograph: hidden or not, shrunk or not."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, pad

NEAR, FAR = 0.008, 0.03
"""Distances behind the visible surface, in units of the image plane (a head is about 1.2 wide), up to which a point counts as
seen and from which on as hidden."""

CREASE, FOLD = 0.003, 0.01
"""The same behind the surface between the pixels, which no slant makes uncertain: closed lids lie so close before the eyes."""

STILL, MOVED = 0.1 / 256, 2.0 / 256
"""Displacements, in the units of the image plane, up to which a point counts as at rest and from which on as moved."""

BEYOND = 1e3
"""Depth of what no head covers."""

ASIDE = 5
"""Side in pixels of the neighbourhood whose nearest surface a moved point must not lie behind: captured lips and lids lie a pixel
or two beside those of the photograph."""


def ramp(value: Tensor, low: float, high: float) -> Tensor:
    """0 up to ``low``, 1 from ``high`` on, smooth between (cubic)."""
    share = ((value - low) / (high - low)).clamp(0, 1)
    return share * share * (3 - 2 * share)


def pixel_plane(like: Tensor, size: int) -> Tensor:
    """(1, 2, S, S): image-plane coordinates x, y of the pixel centres, in the dtype and on the device of ``like``."""
    centres = (2 * torch.arange(size, device=like.device, dtype=like.dtype) + 1) / size - 1
    return torch.stack(torch.meshgrid(centres, centres, indexing="xy"))[None]


def dilated(image: Tensor, side: int) -> Tensor:
    """Largest values (B, C, H, W) in squares of ``side`` pixels, an odd number, by rows and then columns."""
    # Largest values of two, four, ... neighbours: thirty times as fast as a maximum pooling, which keeps account of where they lie.
    image = pad(image, (side // 2,) * 4, value=-torch.inf)
    for axis in (-1, -2):
        wide = 1
        while wide < side:
            step = min(wide, side - wide)
            count = image.shape[axis] - step
            image = torch.maximum(image.narrow(axis, 0, count), image.narrow(axis, step, count))
            wide += step
    return image


def softened(share: Tensor) -> Tensor:
    """Means of ``share`` (B, C, H, W) over squares of five pixels; the border goes on."""
    soft = pad(share, (2,) * 4, mode="replicate")
    for axis in (-1, -2):
        count = soft.shape[axis] - 4
        soft = sum((soft.narrow(axis, step, count) for step in range(1, 5)), soft.narrow(axis, 0, count)) / 5
    return soft


def well_within(alpha: Tensor) -> Tensor:
    """``alpha`` (B, 1, S, S) without its rim, a fiftieth of the width wide, where a mesh may reach beyond the head that is seen."""
    return 1 - dilated(1 - alpha, 2 * max(1, round(alpha.shape[-1] / 48)) + 1)


def length(vectors: Tensor) -> Tensor:
    """(B, 1, H, W) lengths of (B, 2, H, W); a norm over a strided axis of two would take ten times as long."""
    return torch.hypot(vectors[:, :1], vectors[:, 1:])


def surfaces(depth: Tensor) -> Tensor:
    """(B, 2, S, S) from ``depth`` (B, 1, S, S; +inf beyond the head): itself, finite, and the nearest of each neighbourhood."""
    near = depth.clamp(max=BEYOND)
    return torch.cat([near, -dilated(-near, ASIDE)], 1)


def unhidden(surface: Tensor, places: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    """Two shares (B, 1, H, W) in 0..1: whether points of depth ``own`` (B, 1, H, W) at ``places`` (B, 2, H, W) of the image plane
    lie on ``surface`` (B, 2, S, S), see ``surfaces``, and whether they do so in all of its neighbourhood."""
    grid = places.permute(0, 2, 3, 1)
    # The nearer of the neighbouring pixels' surfaces would hide slanted ones, and a mean of them is wrong at a border: a point must
    # pass before the pixel that it falls on, which shows a head at all, and strictly before the mean.
    seen = grid_sample(surface, grid, mode="nearest", padding_mode="border", align_corners=False)
    between = grid_sample(surface[:, :1], grid, mode="bilinear", padding_mode="border", align_corners=False)
    behind, aside = (own - seen).split(1, 1)
    inside = (seen[:, :1] < BEYOND) & (places.abs().amax(1, keepdim=True) <= 1)
    shown = (1 - ramp(behind, NEAR, FAR)) * (1 - ramp(own - between, CREASE, FOLD)) * inside
    return shown, 1 - ramp(aside, 2 * FAR, 4 * FAR)


def least_scale(edited: Tensor, source: Tensor, faces: Tensor) -> Tensor:
    """(B, V, 1): size of the surface around each vertex in the source over that in the edit, along the direction that is shortened
    most, from points (B, V, 3) of the image plane; 1 without an edit, 0 where the source shows the surface from behind.

    For each triangle the lesser singular value of the linear map from its edges in the edit to those in the source, negative
    where it turns the triangle over; at a vertex the mean over its triangles, weighed by their size in the edit.
    """
    batch, count, _ = edited.shape
    there, here = ([points[:, faces[:, k], :2] - points[:, faces[:, 0], :2] for k in (1, 2)] for points in (source, edited))
    (ax, ay), (bx, by) = (edge.unbind(-1) for edge in here)
    (px, py), (qx, qy) = (edge.unbind(-1) for edge in there)
    area = ax * by - ay * bx
    safe = torch.where(area.abs() < 1e-9, torch.full_like(area, 1e-9), area)
    # M [a b] = [p q], so M = [p q] [a b]^-1.
    m00, m01 = (px * by - qx * ay) / safe, (qx * ax - px * bx) / safe
    m10, m11 = (py * by - qy * ay) / safe, (qy * ax - py * bx) / safe
    # Singular values of a 2 x 2 matrix: (|s + t| +- |s - t|) / 2 in complex form.
    first = torch.sqrt((m00 + m11).square() + (m10 - m01).square())
    second = torch.sqrt((m00 - m11).square() + (m10 + m01).square())
    least = ((first - second) / 2).clamp(0, 1)
    weight = area.abs()
    total = torch.zeros(batch, count, 2, dtype=edited.dtype, device=edited.device)
    both = torch.stack([least * weight, weight], -1)
    for corner in faces.T:
        total.index_add_(1, corner, both)
    return total[..., :1] / total[..., 1:].clamp_min(1e-12)
