"""A texture atlas for the head alone: the skin spread over most of the square with the face enlarged, the rest below.

The skin is laid out as a net of springs with its outline fixed to a convex curve. With positive springs such a layout
never folds (Tutte 1963, Floater 1997); the springs are then stiffened or loosened until edges have the lengths we want.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from .crop import Crop

SIZE = 256
SKIN_BOX = (2.5, 2.5, 253.5, 206.5)
"""Left, top, right, bottom of the skin in texels."""

BOXES = {"eye_front.R": (3, 212, 40, 40), "eye_front.L": (47, 212, 40, 40), "eye_back.R": (91, 212, 14, 14),
         "eye_back.L": (91, 230, 14, 14), "teeth_upper": (110, 212, 36, 17), "teeth_lower": (110, 234, 36, 17),
         "tongue": (150, 212, 18, 40), "mouth_cavity": (172, 212, 40, 30), "eye_cavity.R": (216, 212, 17, 20),
         "eye_cavity.L": (236, 212, 17, 20), "neck": (172, 245, 80, 8)}
"""Left, top, width, height of the other islands in texels; each is scaled to fit."""

ROUNDS, OUTLINE_POWER, HOLE_SHRINK = 8, 3.2, 0.35
SWELL = (2.2, 1.7)
"""How much the middle is stretched at last across, and the chin's end upwards."""


@dataclasses.dataclass
class Atlas:
    """vt (T, 2) with v = 1 at the top; ft (F, 3) per triangle of the crop."""

    vt: np.ndarray
    ft: np.ndarray


def islands(crop: Crop) -> np.ndarray:
    """(T,) number of the connected piece of the old atlas each texture vertex belongs to."""
    label = np.arange(len(crop.uv))
    while True:
        lowest = label[crop.uv_quads].min(1)
        after = label.copy()
        np.minimum.at(after, crop.uv_quads, lowest[:, None])
        if (after == label).all():
            return label
        label = after


def _magnification(position: np.ndarray) -> np.ndarray:
    """How large a point is drawn: 1 on the face, more round eyes and mouth, down to 0.15 behind the ears and on the neck."""
    towards = position - [0.0, -0.03, -0.075]
    angle = np.degrees(np.arccos(towards[:, 2] / np.linalg.norm(towards, axis=1)))
    feature = [[-0.032, 0.004, 0.01], [0.032, 0.004, 0.01], [0.0, -0.073, 0.02]]
    near = min_distance(position, np.array(feature))
    return np.interp(angle, [0, 45, 75, 105], [1.0, 1.0, 0.4, 0.15]) * np.interp(near, [0.012, 0.035], [1.5, 1.0])


def min_distance(position: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(N,) distance of each position to the nearest of ``points``."""
    return np.linalg.norm(position[:, None] - points, axis=2).min(1)


def _outline(edges: np.ndarray) -> list[np.ndarray]:
    """Boundary loops, longest first, from the directed edges of the triangles."""
    there = set(map(tuple, edges.tolist()))
    following = {a: b for a, b in there if (b, a) not in there}
    loops = []
    while following:
        start, loop = min(following), []
        at = start
        while at in following:
            loop.append(at)
            at = following.pop(at)
        loops.append(np.array(loop))
    return sorted(loops, key=lambda loop: -len(loop))


def _superellipse(count_half: np.ndarray) -> np.ndarray:
    """Points at fractions (0 top, 1 bottom) down the right half of a superellipse inscribed in [-1, 1]^2."""
    angle = np.linspace(0, np.pi, 4001)
    power = 2 / OUTLINE_POWER
    curve = np.stack([np.abs(np.sin(angle)) ** power, np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** power], 1)
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0) * [252, 204], axis=1))])
    return np.stack([np.interp(count_half * length[-1], length, curve[:, k]) for k in range(2)], 1)


def spread_skin(position: np.ndarray, triangles: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """Lay a disc with holes flat. position (N, 3), mirror (N,) -> (N, 2) in [-1, 1]^2, x to the subject's left, y up."""
    edges = np.concatenate([triangles[:, [i, (i + 1) % 3]] for i in range(3)])
    outer, *holes = _outline(edges)
    size = len(position) + len(holes)
    magnified = _magnification(position)
    pairs = np.unique(np.sort(edges, 1), axis=0)
    # Mirrored edges take part as well, so that the springs are as symmetric as the head.
    pairs = np.unique(np.sort(np.concatenate([pairs, mirror[pairs]]), 1), axis=0)
    wanted = np.linalg.norm(position[pairs[:, 0]] - position[pairs[:, 1]], axis=1) * magnified[pairs].mean(1)
    for number, hole in enumerate(holes):
        hub = len(position) + number
        reach = np.linalg.norm(position[hole] - position[hole].mean(0), axis=1) * HOLE_SHRINK
        pairs = np.concatenate([pairs, np.stack([hole, np.full(len(hole), hub)], 1)])
        wanted = np.concatenate([wanted, reach])
    wanted = np.maximum(wanted, 2e-4)

    middle = outer[mirror[outer] == outer]
    top = middle[position[middle, 1].argmax()]
    bottom = middle[position[middle, 1].argmin()]
    ring = np.roll(outer, -int(np.flatnonzero(outer == top)[0]))
    turn = int(np.flatnonzero(ring == bottom)[0])
    right = ring[:turn + 1] if position[ring[turn // 2], 0] > 0 else np.concatenate([ring[turn:], ring[:1]])[::-1]
    steps = np.linalg.norm(np.diff(position[right], axis=0), axis=1)
    fraction = np.concatenate([[0], np.cumsum(steps)]) / steps.sum()
    flat = np.zeros((size, 2))
    flat[right] = _superellipse(fraction)
    flat[mirror[right]] = flat[right] * [-1, 1]

    fixed = np.zeros(size, bool)
    fixed[outer] = True
    free = np.flatnonzero(~fixed)
    row = np.full(size, -1)
    row[free] = np.arange(len(free))
    stiffness = 1 / wanted
    aspect = np.array([SKIN_BOX[2] - SKIN_BOX[0], SKIN_BOX[3] - SKIN_BOX[1]])
    for _ in range(ROUNDS):
        flat[free] = relaxed(flat, free, row, pairs, stiffness)
        ratio = np.linalg.norm((flat[pairs[:, 0]] - flat[pairs[:, 1]]) * aspect, axis=1) / wanted
        stiffness = stiffness * np.clip(ratio / np.median(ratio), 0.6, 1.6)
    flat = flat[:len(position)]
    return swell((flat + flat[mirror] * [-1, 1]) / 2)


def swell(flat: np.ndarray) -> np.ndarray:
    """A monotone stretch of the square [-1, 1]^2 onto itself: the middle columns and the lower rows gain texels."""
    across, rise = np.abs(flat[:, 0]), (flat[:, 1] + 1) / 2
    across = SWELL[0] * across / (1 + (SWELL[0] - 1) * across)
    rise = SWELL[1] * rise / (1 + (SWELL[1] - 1) * rise)
    return np.stack([np.sign(flat[:, 0]) * across, 2 * rise - 1], 1)


def relaxed(flat: np.ndarray, free: np.ndarray, row: np.ndarray, pairs: np.ndarray, stiffness: np.ndarray) -> np.ndarray:
    """Where the ``free`` points of the net come to rest: preconditioned conjugate gradients from where they are."""
    both = np.concatenate([pairs, pairs[:, ::-1]])
    strength = np.concatenate([stiffness, stiffness])
    keep = row[both[:, 0]] >= 0
    both, strength = both[keep], strength[keep]
    at, count = row[both[:, 0]], len(free)
    diagonal = np.bincount(at, strength, count)

    def gather(points: np.ndarray) -> np.ndarray:
        return np.stack([np.bincount(at, strength * points[both[:, 1], k], count) for k in range(2)], 1)

    def product(moving: np.ndarray) -> np.ndarray:
        spread = np.zeros_like(flat)
        spread[free] = moving
        return diagonal[:, None] * moving - gather(spread)

    held = flat.copy()
    held[free] = 0
    place = flat[free]
    residual = gather(held) - product(place)
    step = residual / diagonal[:, None]
    power = (residual * step).sum(0)
    goal = 1e-22 * power.max()
    for _ in range(4 * count):
        pushed = product(step)
        length = power / np.maximum((step * pushed).sum(0), 1e-300)
        place = place + length * step
        residual = residual - length * pushed
        scaled = residual / diagonal[:, None]
        before, power = power, (residual * scaled).sum(0)
        if power.max() <= goal:
            break
        step = scaled + power / np.maximum(before, 1e-300) * step
    return place


def repack(crop: Crop, vertices: np.ndarray) -> Atlas:
    """The new atlas of the whole crop; SystemExit when a skin triangle came out folded."""
    island = islands(crop)
    vertex_of = np.zeros(len(crop.uv), int)
    vertex_of[crop.uv_quads] = crop.quads
    texels = np.zeros((len(crop.uv), 2))
    sizes = np.bincount(island, minlength=len(island))
    skin = int(sizes.argmax())
    for piece in np.unique(island):
        members = np.flatnonzero(island == piece)
        if piece == skin:
            texels[members] = _place_skin(crop, vertices, members, vertex_of)
            continue
        part = str(crop.part[np.isin(crop.uv_quads[:, 0], members)][0])
        old = bulge(crop.uv[members]) if part.startswith("eye_front") else crop.uv[members]
        texels[members] = _fit(old, BOXES["neck" if part == "head" else part])
    vt = np.stack([texels[:, 0] / SIZE, 1 - texels[:, 1] / SIZE], 1)
    return Atlas(vt, crop.uv_triangles)


def _place_skin(crop: Crop, vertices: np.ndarray, members: np.ndarray, vertex_of: np.ndarray) -> np.ndarray:
    number = np.full(len(crop.uv), -1)
    number[members] = np.arange(len(members))
    triangles = number[crop.uv_triangles]
    triangles = triangles[triangles[:, 0] >= 0]
    position = vertices[vertex_of[members]]
    mirror = _mirror_of(crop, members, vertex_of)
    flat = spread_skin(position, triangles, mirror)
    corner = flat[triangles]
    first, second = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    area = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    if (area <= 0).any():
        raise SystemExit(f"{(area <= 0).sum()} triangles of the skin are folded in the atlas.")
    left, top, right, bottom = SKIN_BOX
    return np.stack([left + (flat[:, 0] + 1) / 2 * (right - left), top + (1 - flat[:, 1]) / 2 * (bottom - top)], 1)


def _mirror_of(crop: Crop, members: np.ndarray, vertex_of: np.ndarray) -> np.ndarray:
    """Row of ``members`` across the midline. Where a seam gives a vertex two rows, the old atlas tells them apart."""
    middle = crop.uv[members, 1].min() + np.ptp(crop.uv[members, 1]) / 2
    across = np.stack([crop.uv[members, 0], 2 * middle - crop.uv[members, 1]], 1)
    rows: dict[int, list[int]] = {}
    for row, vertex in enumerate(vertex_of[members]):
        rows.setdefault(int(vertex), []).append(row)
    mirror = np.zeros(len(members), int)
    for row, vertex in enumerate(vertex_of[members]):
        twins = rows[int(crop.mirror[vertex])]
        mirror[row] = min(twins, key=lambda twin: float(((crop.uv[members[twin]] - across[row]) ** 2).sum()))
    return mirror


def bulge(uv: np.ndarray) -> np.ndarray:
    """Enlarge the middle of a round island, where the iris is, at the cost of its rim."""
    centre = (uv.min(0) + uv.max(0)) / 2
    away = uv - centre
    reach = np.linalg.norm(away, axis=1, keepdims=True)
    return centre + away * (reach.max() / np.maximum(reach, 1e-9)) ** 0.3


def _fit(uv: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """Scale old coordinates evenly into a box of texels, half a texel inside its edge, v upwards."""
    left, top, width, height = box
    low, span = uv.min(0), np.ptp(uv, 0)
    scale = min((width - 1) / span[0], (height - 1) / span[1])
    x = left + width / 2 + (uv[:, 0] - low[0] - span[0] / 2) * scale
    y = top + height / 2 - (uv[:, 1] - low[1] - span[1] / 2) * scale
    return np.stack([x, y], 1)
