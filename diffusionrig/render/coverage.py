"""Which triangle is seen at each pixel: the discrete half of the rasteriser, exact in float32.

Every triangle is compared with the pixel centres in its bounding box. Triangles are grouped by the size of that box, so
that a group is one dense block (rows, columns, triangles) without indices; and an edge function is a difference of a term
of the column and a term of the row, so that its sign is a single comparison within the block:

    edge(p, a, b) = (px - ax)(by - ay) - (py - ay)(bx - ax) > 0   <=>   (px - ax)(by - ay) > (py - ay)(bx - ax)

which holds exactly in IEEE arithmetic. Survivors, about as many as there are covered pixels, compete by one 64-bit key:
the bits of the (non-negative) depth above the index of the face, so that the smallest key is the nearest face and, at
equal depth, the first one.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

EPSILON = 1e-8
"""Smallest doubled area and depth of a face that is drawn, and what is added to the barycentric denominator."""

_BLOCK = 1 << 17  # candidates (triangle, pixel) looked at together: what stays in the cache
_EMPTY = torch.iinfo(torch.int64).max


class _Triangles(NamedTuple):
    """The N triangles, of all images, whose bounding box holds a pixel centre; every field is (N,)."""

    ax: Tensor
    ay: Tensor
    az: Tensor
    bx: Tensor
    by: Tensor
    bz: Tensor
    cx: Tensor
    cy: Tensor
    cz: Tensor
    left: Tensor  # first column and row that the box may hold
    top: Tensor
    base: Tensor  # index of the pixel (left, top) among all pixels of all images
    face: Tensor

    def take(self, rows: Tensor) -> _Triangles:
        return _Triangles(*(field.index_select(0, rows) for field in self))


def nearest_faces(vertices: Tensor, faces: Tensor, columns: Tensor, rows: Tensor) -> Tensor:
    """Index of the face seen at each pixel centre, -1 where there is none: (B, H, W) int64.

    ``vertices`` (B, V, 3) float32, ``faces`` (F, 3), ``columns`` (W,) and ``rows`` (H,) the evenly spaced, ascending
    coordinates of the pixel centres. The rules are those of PyTorch3D's CPU rasteriser with blur 0, one face per pixel
    and no culling: see ``rasterizer.rasterize``.
    """
    batch, height, width = vertices.shape[0], rows.shape[0], columns.shape[0]
    best = torch.full((batch * height * width,), _EMPTY, dtype=torch.int64, device=vertices.device)
    if len(faces):
        triangles, wide, high = _boxes(vertices, faces, columns, rows)
        for group, across, down in _groups(triangles, wide, high):
            _draw(best, group, columns, rows, across, down)
    return torch.where(best == _EMPTY, -1, best & 0xFFFFFFFF).view(batch, height, width)


def _boxes(vertices: Tensor, faces: Tensor, columns: Tensor, rows: Tensor) -> tuple[_Triangles, Tensor, Tensor]:
    """Triangles that may cover a pixel centre, with the number of columns and rows (N,) of their boxes."""
    (batch, count, _), number = vertices.shape, len(faces)
    planar = vertices.permute(2, 0, 1).reshape(3 * batch, count)
    corners = [planar.index_select(1, faces[:, corner]).view(3, -1) for corner in range(3)]
    ends = []
    for axis, centres in ((0, columns), (1, rows)):
        a, b, c = (corner[axis] for corner in corners)
        low, high = _extremes(a, b, c)
        size = len(centres)
        step = (centres[-1] - centres[0]) / max(size - 1, 1) if size > 1 else centres.new_tensor(2.0)
        # Rounded outwards by a hundredth of a pixel; the exact test against the box follows in _draw.
        first = ((low - centres[0]) / step - 0.01).ceil().clamp(0, size)
        last = ((high - centres[0]) / step + 0.01).floor().clamp(-1, size - 1)
        ends.append((first, last - first + 1))
    (left, across), (top, down) = ends
    used = ((across > 0) & (down > 0)).nonzero().squeeze(1)  # a NaN is used nowhere
    image = used.div(number, rounding_mode="floor")
    left, top, across, down = (field.index_select(0, used).long() for field in (left, top, across, down))
    base = (image * len(rows) + top) * len(columns) + left
    fields = [corner[axis].index_select(0, used) for corner in corners for axis in range(3)]
    return _Triangles(*fields, left, top, base, used - image * number), across, down


def _groups(triangles: _Triangles, across: Tensor, down: Tensor) -> list[tuple[_Triangles, int, int]]:
    """Split by box size, rounded up to 1, 2, 3, 4, 6, 8, 12, 16, ...; and so that no block is too large."""
    if not len(across):
        return []
    sizes = [1]
    while sizes[-1] < int(torch.maximum(across.max(), down.max())):
        sizes.append(sizes[-1] + (sizes[-1] + 1) // 2 if sizes[-1] & (sizes[-1] - 1) == 0 else sizes[-1] // 3 * 4)
    bounds = torch.tensor(sizes, device=across.device)
    kind = torch.bucketize(down, bounds) * len(sizes) + torch.bucketize(across, bounds)
    kind = kind.to(torch.int16)
    groups = []
    for index in torch.bincount(kind.int()).nonzero().squeeze(1).tolist():
        high, wide = sizes[index // len(sizes)], sizes[index % len(sizes)]
        members = (kind == index).nonzero().squeeze(1)
        for part in members.split(max(_BLOCK // (high * wide), 1)):
            groups.append((triangles.take(part), wide, high))
    return groups


def _draw(best: Tensor, triangles: _Triangles, columns: Tensor, rows: Tensor, across: int, down: int) -> None:
    """Enter triangles whose boxes hold at most ``across`` x ``down`` pixel centres into ``best``, in place."""
    ax, ay, az, bx, by, bz, cx, cy, cz, left, top, base, face = triangles
    area = (ax - bx) * (cy - by) - (ay - by) * (cx - bx)
    nearest = torch.minimum(torch.minimum(az, bz), cz)
    denominator = barycentric_denominator((cx - ax) * (by - ay) - (cy - ay) * (bx - ax))
    # NaN fails every comparison: faces that are skipped and centres outside the box never show.
    denominator = denominator.where((area.abs() > EPSILON) & (nearest > EPSILON), torch.nan)
    x = _centres(columns, left, across, ax, bx, cx)
    y = _centres(rows, top, down, ay, by, cy)[:, None]

    def weight(ux: Tensor, uy: Tensor, vx: Tensor, vy: Tensor) -> Tensor:
        return ((x - ux) * (vy - uy) - (y - uy) * (vx - ux)).div_(denominator)

    first, second, third = weight(bx, by, cx, cy), weight(cx, cy, ax, ay), weight(ax, ay, bx, by)
    inside = torch.minimum(torch.minimum(first, second), third) > 0
    depth = first.mul_(az).add_(second.mul_(bz)).add_(third.mul_(cz))
    key = (depth.view(torch.int32).long() << 32) | face
    pixel = base + (torch.arange(down, device=best.device)[:, None, None] * len(columns)
                    + torch.arange(across, device=best.device)[:, None])
    hit = inside.view(-1).nonzero().squeeze(1)
    best.scatter_reduce_(0, pixel.view(-1).index_select(0, hit), key.view(-1).index_select(0, hit), "amin")


def _centres(table: Tensor, start: Tensor, count: int, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """(count, N): pixel centres from index ``start`` (N,) on, NaN where they are not between ``a``, ``b`` and ``c``."""
    index = start + torch.arange(count, device=start.device)[:, None]
    centres = torch.nn.functional.pad(table, (0, count), value=torch.nan).index_select(0, index.view(-1)).view(count, -1)
    low, high = _extremes(a, b, c)
    return centres.where((centres >= low) & (centres <= high), torch.nan)


def _extremes(a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    return torch.minimum(torch.minimum(a, b), c), torch.maximum(torch.maximum(a, b), c)


def barycentric_denominator(area: Tensor) -> Tensor:
    """Signed doubled area + 1e-8, added in double precision and rounded back, as PyTorch3D does on the CPU."""
    if area.device.type == "mps":  # has no double precision
        return area + EPSILON
    return (area.double() + EPSILON).to(area.dtype)
