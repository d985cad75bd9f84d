"""What carries the head: the rest of the neck, shoulders, and the clothes on them."""

from __future__ import annotations

import dataclasses

import numpy as np

from diffusionrig.data.synthetic.people import Clothes

_POINTS = 48

# Rings of the body below the cut of the neck: depth under it (m), half width and half depth (m), how far back (m).
_RINGS = [(0.020, 0.062, 0.062, 0.000), (0.040, 0.068, 0.066, 0.002), (0.055, 0.082, 0.070, 0.004),
          (0.066, 0.115, 0.076, 0.006), (0.078, 0.150, 0.084, 0.008), (0.095, 0.182, 0.094, 0.010),
          (0.120, 0.200, 0.104, 0.010), (0.165, 0.210, 0.112, 0.010), (0.300, 0.215, 0.120, 0.010)]
_STANDARD_SHOULDER = 0.200


@dataclasses.dataclass(frozen=True, eq=False)
class Body:
    """vertices (V, 3) metres, faces (F, 3); cloth (V,) is positive where dressed (metres from the hem); along (V,) and
    around (V,) place a pattern, metres."""

    vertices: np.ndarray
    faces: np.ndarray
    cloth: np.ndarray
    along: np.ndarray
    around: np.ndarray


def neck_ring(faces: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """Indices of the vertices round the open lower end of the neck, in order of azimuth."""
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    unique, count = np.unique(edges, axis=0, return_counts=True)
    border = unique[count == 1]
    low = vertices[border.ravel(), 1].min()
    # Follow the border from its lowest vertex: eyes and mouth may have borders of their own.
    member = {int(border.ravel()[vertices[border.ravel(), 1].argmin()])}
    while True:
        touching = np.isin(border, list(member)).any(1)
        grown = set(border[touching].ravel().tolist())
        if grown == member:
            break
        member = grown
    ring = np.array(sorted(member))
    assert vertices[ring, 1].min() == low
    centre = vertices[ring].mean(0)
    return ring[np.argsort(np.arctan2(vertices[ring, 0] - centre[0], vertices[ring, 2] - centre[2]))]


def build_body(clothes: Clothes, ring: np.ndarray, turn: float) -> Body:
    """A torso under the posed end of the neck ``ring`` (N, 3), upright, turned by ``turn`` radians about the vertical."""
    around = np.linspace(-np.pi, np.pi, _POINTS + 1)
    centre = ring.mean(0)
    rotation = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
    rings = [_resample(ring, centre, around)]
    # The first ring of the body lies a little inside the neck's cut, so that no gap opens when the head tilts.
    for below, width, thick, back in _RINGS:
        wide = width * (1 + (clothes.shoulder / _STANDARD_SHOULDER - 1) * min(1.0, below / 0.09))
        flat = np.stack([wide * np.sin(around), np.full_like(around, -below), thick * np.cos(around) - back], 1)
        rings.append(centre + flat @ rotation.T)
    rings[1] = 0.5 * (rings[1] + rings[0] - [0.0, 0.02, 0.0])
    grid = np.stack(rings)
    rows, columns = grid.shape[:2]
    depth = np.concatenate([[0.0], [ring[0] for ring in _RINGS]])[:, None] + np.zeros(columns)
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    return Body(grid.reshape(-1, 3), faces, (depth - _hem(clothes, around)).reshape(-1), depth.reshape(-1),
                np.broadcast_to(around * 0.15, (rows, columns)).reshape(-1))


def _hem(clothes: Clothes, around: np.ndarray) -> np.ndarray:
    """Depth (metres below the neck's cut) at which the clothes begin, by azimuth."""
    front = np.clip(np.cos(around), 0, 1)
    if clothes.neckline == "vee":
        return 0.036 + 0.08 * np.clip(1 - np.abs(around) / 0.7, 0, 1)
    if clothes.neckline == "round":
        return 0.034 + 0.022 * front ** 2
    if clothes.neckline == "collar":
        return 0.012 + 0.03 * np.clip(1 - np.abs(around) / 0.45, 0, 1)
    return 0.004 + 0.006 * front


def _resample(ring: np.ndarray, centre: np.ndarray, around: np.ndarray) -> np.ndarray:
    angle = np.arctan2(ring[:, 0] - centre[0], ring[:, 2] - centre[2])
    order = np.argsort(angle)
    angle, ring = angle[order], ring[order]
    wrapped = np.concatenate([angle[-1:] - 2 * np.pi, angle, angle[:1] + 2 * np.pi])
    values = np.concatenate([ring[-1:], ring, ring[:1]])
    return np.stack([np.interp(around, wrapped, values[:, axis]) for axis in range(3)], 1)
