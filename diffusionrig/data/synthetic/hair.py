"""Hair as a surface: strands leave a pole on the skull, follow it to the hairline, and go on as a fringe or hang down."""

from __future__ import annotations

import dataclasses

import numpy as np

from diffusionrig.data.synthetic.people import Hair
from diffusionrig.data.synthetic.skull import Skull

COLUMNS, SKULL_ROWS, FREE_ROWS = 80, 18, 12


@dataclasses.dataclass(frozen=True, eq=False)
class HairMesh:
    """A grid of strands at rest, metres.

    vertices (V, 3), faces (F, 3), tangent (V, 3) from root to tip, strand (V,) across and along (V,) the strands in
    metres, remaining (V,) metres to the tip (or to the hairline), fray (V,) metres over which the edge thins out.
    """

    vertices: np.ndarray
    faces: np.ndarray
    tangent: np.ndarray
    strand: np.ndarray
    along: np.ndarray
    remaining: np.ndarray
    fray: np.ndarray


def _smoothstep(value: np.ndarray, low: float, high: float) -> np.ndarray:
    x = np.clip((value - low) / (high - low), 0.0, 1.0)
    return x * x * (3 - 2 * x)


def _azimuth(directions: np.ndarray) -> np.ndarray:
    return np.rad2deg(np.arctan2(directions[..., 0], directions[..., 2]))


def _directions(hair: Hair, angle: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Unit directions (rows, columns, 3) at polar ``angle`` (rows, columns) and ``turn`` (columns,) round the pole."""
    tilt, part = np.deg2rad(hair.pole_tilt), np.deg2rad(hair.parting)
    pole = np.array([np.sin(tilt) * np.sin(part), np.cos(tilt), np.sin(tilt) * np.cos(part)])
    first = np.array([np.cos(tilt) * np.sin(part), -np.sin(tilt), np.cos(tilt) * np.cos(part)])  # down the forehead
    second = np.cross(first, pole)  # towards the subject's right or left, for the turn to run round
    across = np.cos(turn)[:, None] * first + np.sin(turn)[:, None] * second
    return np.cos(angle)[..., None] * pole + np.sin(angle)[..., None] * across


def build_hair(hair: Hair, skull: Skull) -> HairMesh | None:
    """The surface of a haircut on one person's skull; None for a bald head."""
    if hair.top == 0.0:
        return None
    rng = np.random.default_rng(hair.seed)
    turn = np.linspace(0.0, 2 * np.pi, COLUMNS + 1)
    end = _edge_angle(hair, skull, turn)
    ends = _directions(hair, end[None], turn)[0]
    around = np.abs(_azimuth(ends))
    hangs = _smoothstep(around, 42.0, 72.0) * (hair.length > 0)
    fringe = hair.fringe * (1 - _smoothstep(around, 38.0, 62.0)) * (1 + 0.25 * rng.standard_normal(1) * np.sin(
        np.deg2rad(_azimuth(ends))))

    rows = np.linspace(0.0, 1.0, SKULL_ROWS) ** 0.85
    angle = rows[:, None] * end
    way = _directions(hair, angle, turn)
    skin = skull.distance(way)
    arc = np.concatenate([np.zeros((1, COLUMNS + 1)), np.cumsum(skin[1:] * np.diff(angle, axis=0), 0)])
    short_of_edge = arc[-1] - arc
    height = hair.side + (hair.top - hair.side) * _smoothstep(way[..., 1], 0.25, 0.85)
    lumps = _lumps(rng, way, 0.10 + 0.12 * hair.curl, 6.0 + 5.0 * hair.curl)
    height = height * (1 + lumps) * (0.55 + 0.45 * _smoothstep(arc, 0.0, 0.03))
    free = np.maximum(hangs, np.where(hair.fringe > 0, fringe / max(hair.fringe, 1e-9), 0.0))
    depth = 0.014 if hair.top < 0.02 else 0.022
    root = 0.0015 + (height - 0.0015) * _smoothstep(short_of_edge, -0.002, depth)
    height = free * np.maximum(height, 0.006) + (1 - free) * root
    pole = _smoothstep(arc, 0.0, 0.018)  # all strands share one root at the pole
    height = pole * height + (1 - pole) * height[0].mean()
    scalp = skull.centre + way * (skin + height)[..., None]

    steps = np.linspace(0.0, 1.0, FREE_ROWS + 1)[1:]
    fringe_angle = end + steps[:, None] * fringe / skull.distance(ends)
    down = _directions(hair, fringe_angle, turn)
    lift = 0.004 + (height[-1] - 0.004) * (1 - steps[:, None]) ** 1.5
    over_brow = skull.centre + down * (skull.distance(down) + np.maximum(lift, 0.0025))[..., None]
    tips = np.where((hangs > 0)[:, None], _hang(hair, scalp[-1], ends, steps, rng), over_brow)
    tips = np.where((hangs > 0)[:, None], hangs[:, None] * tips + (1 - hangs[:, None]) * over_brow, tips)

    grid = np.concatenate([scalp, tips])
    return _mesh(hair, grid, free, turn)


def _edge_angle(hair: Hair, skull: Skull, turn: np.ndarray) -> np.ndarray:
    """Polar angle (columns,) at which each strand leaves the scalp."""
    angles = np.deg2rad(np.arange(2.0, 176.0, 2.0))
    way = _directions(hair, np.repeat(angles[:, None], len(turn), 1), turn)
    place = skull.centre + way * skull.distance(way)[..., None]
    line = skull.hairline(_azimuth(way), hair.hairline, hair.receding)
    clear = place[..., 1] - line
    outside = clear < 0
    first = np.where(outside.any(0), outside.argmax(0), len(angles) - 1)
    columns = np.arange(len(turn))
    before, after = clear[np.maximum(first - 1, 0), columns], clear[first, columns]
    part = np.clip(before / np.maximum(before - after, 1e-9), 0.0, 1.0)
    end = angles[np.maximum(first - 1, 0)] + part * (angles[1] - angles[0])
    # Neighbouring strands end at similar places; the seam's two columns are the same strand.
    ring = np.concatenate([end[-4:-1], end[:-1], end[:3]])
    smooth = np.convolve(ring, np.array([1, 2, 3, 2, 1]) / 9, "same")[3:-3]
    return np.append(smooth, smooth[0])


def _lumps(rng: np.random.Generator, way: np.ndarray, amount: float, frequency: float) -> np.ndarray:
    """Smooth random variation over directions, about ``amount`` in size."""
    total = np.zeros(way.shape[:-1])
    for octave in range(3):
        wave = rng.standard_normal((6, 3)) * frequency * (0.5, 1.0, 2.0)[octave]
        total += (0.7, 0.5, 0.4)[octave] * np.sin(way @ wave.T + rng.uniform(0, 6.3, 6)).mean(-1) * 1.5
    return amount * total


def _hang(hair: Hair, start: np.ndarray, ends: np.ndarray, steps: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Free ends (rows, columns, 3) that fall from ``start`` (columns, 3)."""
    flat = ends * np.array([1.0, 0.0, 1.0])
    out = flat / np.linalg.norm(flat, axis=-1, keepdims=True)
    sideways = np.cross(out, [0.0, 1.0, 0.0])
    length = start[:, 1] + hair.length + 0.008 * np.sin(3 * np.deg2rad(_azimuth(ends)) + rng.uniform(0, 6))
    s = steps[:, None]
    bulge = (0.010 + 0.006 * hair.wave) * np.sin(np.pi * np.minimum(s * 1.2, 1.0)) - 0.012 * s ** 2
    wiggle = 0.008 * hair.wave * np.sin(2 * np.pi * s * hair.length / 0.07 + rng.uniform(0, 6) + 5 * ends[:, 0])
    wiggle = wiggle * np.minimum(4 * s, 1.0)
    # Hair in front of the ear falls a little backwards, beside the cheek rather than over it.
    back = np.array([0.0, 0.0, -0.012]) * s[..., None]
    return (start + (bulge + wiggle)[..., None] * out + 0.5 * wiggle[..., None] * sideways + back
            - (s * length)[..., None] * np.array([0.0, 1.0, 0.0]))


def _mesh(hair: Hair, grid: np.ndarray, free: np.ndarray, turn: np.ndarray) -> HairMesh:
    rows, columns = grid.shape[:2]
    step = np.linalg.norm(np.diff(grid, axis=0), axis=-1)
    along = np.concatenate([np.zeros((1, columns)), np.cumsum(step, 0)])
    tangent = np.gradient(grid, axis=0)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=-1, keepdims=True), 1e-9)
    strand = np.broadcast_to(turn * 0.09, (rows, columns))
    fray = np.broadcast_to(0.004 + 0.010 * free + 0.008 * hair.curl, (rows, columns))
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    flat = grid.reshape(-1, 3)
    # Rows that coincide (no fringe, nothing hanging) make no triangles.
    sides = flat[faces]
    area = np.linalg.norm(np.cross(sides[:, 1] - sides[:, 0], sides[:, 2] - sides[:, 0]), axis=-1)
    return HairMesh(flat, faces[area > 1e-9], tangent.reshape(-1, 3), strand.reshape(-1), along.reshape(-1),
                    (along[-1] - along).reshape(-1), fray.reshape(-1))
