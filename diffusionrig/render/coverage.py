"""Which triangle is seen at each pixel: the discrete half of the rasteriser, exact in float32.

Every triangle is compared with the pixel centres in its bounding box. Triangles are sorted by the size of that box, so
that those of one size form a dense block (rows, columns, triangles): no index is looked up per candidate, and the terms
of an edge function that belong to a column or to a row are computed once for it. All candidates then compete by one 64-bit
key, the bits of the (non-negative) depth above the index of the face: the smallest key is the nearest face and, at equal
depth, the first one. The index is counted from one, so that zero is left for pixels nothing was seen at.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

EPSILON = 1e-8
"""Smallest doubled area and depth of a face that is drawn, and what is added to the barycentric denominator."""

_BLOCK = 1 << 17  # candidates (triangle, pixel) looked at together: bounds the memory, and stays in the cache
_BLOCK_COST = 16000  # candidates that take as long as starting a block
_BEYOND = torch.iinfo(torch.int32).max  # more than the bits of any depth, infinity included


def nearest_faces(vertices: Tensor, faces: Tensor, columns: Tensor, rows: Tensor) -> Tensor:
    """Index of the face seen at each pixel centre, -1 where there is none: (B, H, W) int64.

    ``vertices`` (B, V, 3) float32, ``faces`` (F, 3), ``columns`` (W,) and ``rows`` (H,) the evenly spaced, ascending
    coordinates of the pixel centres. The rules are those of PyTorch3D's CPU rasteriser with blur 0, one face per pixel
    and no culling: see ``rasterizer.rasterize``.
    """
    (batch, count, _), number, height, width = vertices.shape, len(faces), len(rows), len(columns)
    planar = vertices.permute(2, 0, 1).reshape(3 * batch, count)
    corners = [planar.index_select(1, faces[:, corner]).view(3, -1) for corner in range(3)]
    left, across = _extent(columns, *(corner[0] for corner in corners))
    top, down = _extent(rows, *(corner[1] for corner in corners))
    used = ((across > 0) & (down > 0)).nonzero().squeeze(1)  # a NaN is used nowhere
    if not len(used):
        return faces.new_full((batch, height, width), -1)

    left, top, across, down = (field.index_select(0, used).long() for field in (left, top, across, down))
    sizes = _box_sizes(int(torch.maximum(across, down).max()))
    steps = torch.tensor(sizes, device=used.device)
    kind, order = torch.sort((torch.bucketize(down, steps) * len(sizes) + torch.bucketize(across, steps)).short())
    used, left, top = (field.index_select(0, order) for field in (used, left, top))
    image = used.div(number, rounding_mode="floor")
    integers = torch.stack([left, top, (image * height + top) * width + left, used - image * number + 1])
    floats = _prepare(*(corner.index_select(1, used) for corner in corners))

    # Boxes rounded up may stick out of the last image; nothing is ever seen there.
    best = torch.full(((batch * height + sizes[-1]) * width + sizes[-1],), _BEYOND << 32, device=used.device)
    columns, rows = (torch.nn.functional.pad(centres, (0, sizes[-1]), value=torch.nan) for centres in (columns, rows))
    start = 0
    for members, wide, high in _blocks(torch.bincount(kind.int()).tolist(), sizes):
        for part, numbers in zip(floats[:, start:start + members].split(max(_BLOCK // (high * wide), 1), 1),
                                 integers[:, start:start + members].split(max(_BLOCK // (high * wide), 1), 1)):
            _draw(best, part, numbers, columns, rows, wide, high, width)
        start += members
    return ((best[:batch * height * width] & 0xFFFFFFFF) - 1).view(batch, height, width)


def _extent(centres: Tensor, a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """First pixel and number of pixels, as floats, whose centres may lie between the corners ``a``, ``b`` and ``c``."""
    low, high = _extremes(a, b, c)
    size = len(centres)
    step = (centres[-1] - centres[0]) / (size - 1) if size > 1 else 2.0
    # Rounded outwards by a hundredth of a pixel; _draw compares with the exact box.
    first = ((low - centres[0]) / step - 0.01).ceil().clamp(0, size)
    last = ((high - centres[0]) / step + 0.01).floor().clamp(-1, size - 1)
    return first, last - first + 1


def _extremes(a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    return torch.minimum(torch.minimum(a, b), c), torch.maximum(torch.maximum(a, b), c)


def _box_sizes(largest: int) -> list[int]:
    """1, 2, 3, 4, 6, 8, 12, 16, ... up to ``largest`` or just above: what sides of boxes are rounded up to."""
    sizes = [1]
    while sizes[-1] < largest:
        power = 1 << (sizes[-1].bit_length() - 1)
        sizes.append(sizes[-1] + max(power // 2, 1))
    return sizes


def _blocks(counts: list[int], sizes: list[int]) -> list[tuple[int, int, int]]:
    """Numbers of triangles by kind of box -> (triangles, columns, rows) of the blocks to draw, in the same order.

    Neighbouring kinds share a block where looking at larger boxes than needed costs less than another block.
    """
    blocks: list[tuple[int, int, int]] = []
    for kind, members in enumerate(counts):
        if not members:
            continue
        wide, high = sizes[kind % len(sizes)], sizes[kind // len(sizes)]
        if blocks:
            before, wider, higher = blocks[-1]
            joined = before + members, max(wide, wider), max(high, higher)
            if math.prod(joined) - math.prod(blocks[-1]) - members * wide * high < _BLOCK_COST:
                blocks[-1] = joined
                continue
        blocks.append((members, wide, high))
    return blocks


def _prepare(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Corners (3, N) each -> all that ``_draw`` needs of a triangle, (20, N)."""
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = a, b, c
    area = (ax - bx) * (cy - by) - (ay - by) * (cx - bx)
    nearest, _ = _extremes(az, bz, cz)
    denominator = barycentric_denominator((cx - ax) * (by - ay) - (cy - ay) * (bx - ax))
    # NaN fails every comparison: a face that is to be skipped never shows.
    denominator = denominator.where((area.abs() > EPSILON) & (nearest > EPSILON), torch.nan)
    return torch.stack([*_extremes(ax, bx, cx), *_extremes(ay, by, cy), denominator,
                        bx, cy - by, by, cx - bx, az,
                        cx, ay - cy, cy, ax - cx, bz,
                        ax, by - ay, ay, bx - ax, cz])


def _draw(best: Tensor, floats: Tensor, integers: Tensor, columns: Tensor, rows: Tensor, across: int, down: int,
          width: int) -> None:
    """Enter triangles whose boxes hold at most ``across`` x ``down`` pixel centres into ``best``, in place.

    ``columns`` and ``rows`` go on beyond the ``width`` and height of the image, with NaN.
    """
    low_x, high_x, low_y, high_y, denominator, *edges = floats
    left, top, base, label = integers
    right = torch.arange(across, device=best.device)[:, None]
    below = torch.arange(down, device=best.device)[:, None, None]
    x = _centres(columns, left + right, low_x, high_x)
    y = _centres(rows, top + below, low_y, high_y)

    weights = [((x - ux) * dy - (y - uy) * dx).div_(denominator) for ux, dy, uy, dx, _ in (edges[:5], edges[5:10], edges[10:])]
    inside = torch.minimum(torch.minimum(weights[0], weights[1]), weights[2]) > 0
    depth = weights[0].mul_(edges[4]).add_(weights[1].mul_(edges[9])).add_(weights[2].mul_(edges[14]))
    # Bit operations instead of torch.where, which takes several times as long: all bits but the sign set where outside.
    bits = (inside.int() - 1).bitwise_or_(depth.view(torch.int32)).bitwise_and_(_BEYOND)
    key = (bits.long() << 32).bitwise_or_(label)
    pixel = base + (below * width + right)
    best.scatter_reduce_(0, pixel.view(-1), key.view(-1), "amin")


def _centres(table: Tensor, index: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Pixel centres at ``index`` (..., N), infinite or NaN where they are not within [low, high].

    An infinite centre is outside every triangle that has an area: it lies on the wrong side of one edge at least.
    """
    centres = table.index_select(0, index.view(-1)).view(index.shape)
    return centres / ((centres >= low) & (centres <= high)).to(centres.dtype)


def barycentric_denominator(area: Tensor) -> Tensor:
    """Signed doubled area + 1e-8, added in double precision and rounded back, as PyTorch3D does on the CPU."""
    if area.device.type == "mps":  # has no double precision
        return area + EPSILON
    return (area.double() + EPSILON).to(area.dtype)
