"""The 68 iBUG points as places on the open head's skin, and the table that lets the contour follow the yaw."""

from __future__ import annotations

import numpy as np

from .crop import Crop
from .surface import Samples, along, border_loop, half_loop, sample_skin

CONTOUR_NORMAL = 0.33
"""z of the normal where the jaw line is seen from the front."""

ACROSS = np.array([*range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, *range(35, 30, -1), 45, 44, 43, 42, 47, 46, 39, 38,
                   37, 36, 41, 40, *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), 67, 66, 65])
"""The point on the other side of the face of each point."""

FACE_CENTRE = np.array([0.0, -0.028])

BROW_X = (0.0130, 0.0215, 0.0310, 0.0405, 0.0500)
BROW_RISE = (0.0130, 0.0170, 0.0190, 0.0182, 0.0138)
"""Brow points of one side, inner to outer: distance from the midline, height above the eye joint (metres)."""


def _lips(samples: Samples, inner_corners: np.ndarray, lip: np.ndarray) -> np.ndarray:
    """Outer lip border 48-59 (12, 3): where the lip mask fades, at set fractions of the mouth's width."""
    left, right = inner_corners[0], inner_corners[1]
    middle, width = (left + right) / 2, right[0] - left[0]
    border = np.abs(lip - 0.5)
    near = np.abs(samples.position - middle).max(1) < 0.04
    found = []
    for upper, fractions in ((True, (0.18, 0.38, 0.5, 0.62, 0.82)), (False, (0.82, 0.62, 0.5, 0.38, 0.18))):
        side = near & ((samples.position[:, 1] > middle[1]) == upper)
        for fraction in fractions:
            cost = border + 400 * np.abs(samples.position[:, 0] - (left[0] + fraction * width)) + 1e3 * ~side
            found.append(samples.position[samples.nearest(cost)])
    corners = []
    for corner, outward in ((left, -1), (right, 1)):
        # The corner of the mouth is a step outside the corner of the inner loop, where the lip mask ends.
        cost = np.where(near & (outward * (samples.position[:, 0] - corner[0]) >= 0), border, 1e3)
        corners.append(samples.position[samples.nearest(cost + 60 * np.abs(samples.position[:, 1] - corner[1]))])
    return np.array([corners[0], *found[:5], corners[1], *found[5:]])


def _nose(samples: Samples, eye_height: float) -> np.ndarray:
    """27-35 (9, 3): bridge from between the eyes to the tip, then the base from one wing to the other."""
    position, normal = samples.position, samples.normal
    middle = np.abs(position[:, 0]) < 2e-4
    tip = position[samples.nearest(np.where(middle, -position[:, 2], 1e3))]
    root_height = eye_height + 0.003
    heights = np.linspace(root_height, tip[1], 4)
    bridge = [position[samples.nearest(np.where(middle & (normal[:, 2] > 0.3), np.abs(position[:, 1] - y), 1e3))]
              for y in heights]
    # Under the tip the profile runs back with the normal pointing down, then turns into the upper lip: that corner.
    turn = middle & (position[:, 1] < tip[1]) & (position[:, 1] > tip[1] - 0.022) & (np.abs(normal[:, 1] + 0.5) < 0.1)
    base = position[samples.nearest(np.where(turn, position[:, 1], 1e3))]
    wing = (np.abs(position[:, 1] - (base[1] + 0.003)) < 0.002) & (np.abs(position[:, 0]) < 0.0195)
    right = position[samples.nearest(np.where(wing & (normal[:, 0] < -0.5), position[:, 0], 1e3))]
    between = [right * (1 - t) + base * t for t in (0.0, 0.55)]
    row = [*between, base, *(point * [-1, 1, 1] for point in reversed(between))]
    return np.array([*bridge, *row])


def _brows(samples: Samples) -> np.ndarray:
    """17-26 (10, 3): subject's right brow outer to inner, then the left brow inner to outer."""
    points = []
    for side, order in ((-1, range(4, -1, -1)), (1, range(5))):
        for k in order:
            target = np.array([side * BROW_X[k], BROW_RISE[k]])
            cost = np.linalg.norm(samples.position[:, :2] - target, axis=1) + 1e3 * (samples.normal[:, 2] < 0.1)
            points.append(samples.position[samples.nearest(cost)])
    return np.array(points)


def _contour_bands(samples: Samples) -> list[np.ndarray]:
    """For each of the 17 contour points, the samples among which it slides: a curve from the face's middle outwards."""
    flat = samples.position[:, :2] - FACE_CENTRE
    angle = np.degrees(np.arctan2(flat[:, 0], -flat[:, 1]))
    jaw = (samples.position[:, 2] > -0.082) & (np.abs(samples.position[:, 0]) < 0.0735)
    # From the height of the eyes beside the ear (angle -112 seen from the chin) round the chin and up again.
    wanted = np.interp(np.arange(17), [0, 3, 5, 8, 11, 13, 16], [-112, -72, -46, 0, 46, 72, 112])
    reach = np.hypot(flat[:, 0], flat[:, 1])
    # Towards the chin the band starts below the lower lip, whose underside also turns away.
    return [np.flatnonzero(jaw & (np.abs(angle - value) < 0.9) & (reach > (0.07 if abs(value) < 30 else 0.045)))
            for value in wanted]


def _contour(samples: Samples, bands: list[np.ndarray]) -> list[int]:
    """Index of the sample of each band where, going outwards, the surface first turns away from the viewer in front."""
    found = []
    for band in bands:
        outwards = band[np.argsort(np.linalg.norm(samples.position[band, :2] - FACE_CENTRE, axis=1), kind="stable")]
        away = samples.normal[outwards, 2] < CONTOUR_NORMAL
        found.append(int(outwards[away.argmax() if away.any() else -1]))
    return found


def contour_table(samples: Samples, bands: list[np.ndarray], still: list[int], yaws: list[int]) -> list[list[int]]:
    """Rows of sample indices: at each yaw a point that has turned out of sight moves along its band to the edge."""
    rows = []
    for yaw in yaws:
        towards = np.array([-np.sin(np.radians(yaw)), 0.0, np.cos(np.radians(yaw))])
        facing = samples.normal @ towards
        row = []
        for band, home in zip(bands, still):
            if facing[home] >= 0.1:
                row.append(home)
                continue
            seen = band[facing[band] >= 0.1]
            distance = np.linalg.norm(samples.position[seen] - samples.position[home], axis=1)
            row.append(int(seen[np.argmin(distance)]) if len(seen) else home)
        rows.append(row)
    return rows


def landmarks(crop: Crop, vertices: np.ndarray, lip_mask: np.ndarray, sample_mask) -> dict[str, np.ndarray]:
    """lmk_face (68,), lmk_bary (68, 3), contour_face (79, 17), contour_bary (79, 17, 3) on the mean head."""
    samples = sample_skin(crop, vertices)
    lip = sample_mask(lip_mask, samples.uv)
    mouth = border_loop(crop, "head", "mouth_cavity")
    upper, lower = (half_loop(mouth, side, vertices) for side in (True, False))
    inner = np.concatenate([along(upper, [0, 0.25, 0.5, 0.75, 1]), along(lower, [0.75, 0.5, 0.25])])
    eyes = []
    for side in ("R", "L"):
        loop = border_loop(crop, "head", f"eye_cavity.{side}")
        top, bottom = (half_loop(loop, high, vertices) for high in (True, False))
        eyes.append(np.concatenate([along(top, [0, 1 / 3, 2 / 3, 1]), along(bottom, [2 / 3, 1 / 3])]))
    bands = _contour_bands(samples)
    contour = samples.position[_contour(samples, bands)]
    points = np.concatenate([contour, _brows(samples), _nose(samples, 0.0), *eyes,
                             _lips(samples, inner[[0, 4]], lip), inner])
    points = (points + points[ACROSS] * [-1, 1, 1]) / 2
    chosen = np.array([int(np.argmin(((samples.position - point) ** 2).sum(1))) for point in points])
    still = chosen[:17].tolist()
    yaws = [*range(40), *range(-1, -40, -1)]
    table = np.array(contour_table(samples, bands, still, yaws))
    return {"lmk_face": samples.triangle[chosen].astype(np.uint16), "lmk_bary": samples.bary[chosen].astype(np.float32),
            "contour_face": samples.triangle[table].astype(np.uint16),
            "contour_bary": samples.bary[table].astype(np.float16)}
