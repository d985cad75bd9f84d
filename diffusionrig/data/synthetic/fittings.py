"""Small things on the face: lashes and glasses, as meshes in the posed frame of the head."""

from __future__ import annotations

import numpy as np

from diffusionrig.data.synthetic.people import Glasses

LASHES = 22
_UPPER_LIDS = ((36, 37, 38, 39), (42, 43, 44, 45))


def build_lashes(landmarks: np.ndarray, eyeballs: np.ndarray, length: float) -> tuple[np.ndarray, np.ndarray]:
    """Upper lashes: vertices (V, 3) and faces (F, 3).

    ``landmarks`` (68, 3) posed, ``eyeballs`` (2, 3) centres of the subject's right and left eye, ``length`` in metres.
    Each lash is a thin triangle that leaves the lid away from the eyeball.
    """
    vertices: list[np.ndarray] = []
    faces: list[np.ndarray] = []
    count = 0
    for lid, centre in zip(_UPPER_LIDS, eyeballs, strict=True):
        knots = landmarks[list(lid)]
        at = np.linspace(0.0, 1.0, LASHES)
        margin = _curve(knots, at)
        along = np.gradient(margin, axis=0)
        along /= np.linalg.norm(along, axis=1, keepdims=True)
        out = margin - centre
        out /= np.linalg.norm(out, axis=1, keepdims=True)
        up = np.cross(out, along)
        up *= np.sign(up[:, 1:2] + 1e-9)
        # Longest towards the outer corner, fanned out sideways.
        outer = at if lid[0] == 42 else 1 - at
        reach = length * (0.55 + 0.45 * np.sin(np.pi * np.clip(outer * 0.85, 0, 1)))
        fan = (2 * at - 1)[:, None] * 0.5 * along
        root = margin + 0.0008 * out
        tip = root + reach[:, None] * (0.75 * out + 0.45 * up + fan)
        half = 0.00045 * along
        hairs = np.stack([root - half, root + half, tip], 1).reshape(-1, 3)
        # Their roots make one dark line.
        line = np.concatenate([root - 0.0003 * up, root + 0.0009 * up + 0.0006 * out])
        first, second = np.arange(LASHES - 1), np.arange(LASHES - 1) + LASHES
        strip = np.concatenate([np.stack([first, second, second + 1], 1), np.stack([first, second + 1, first + 1], 1)])
        faces += [np.arange(len(hairs)).reshape(-1, 3) + count, strip + count + len(hairs)]
        vertices += [hairs, line]
        count += len(hairs) + len(line)
    return np.concatenate(vertices), np.concatenate(faces)


def _curve(knots: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Points on the cubic through four ``knots`` (4, 3) at ``at`` in 0..1."""
    nodes = np.linspace(0.0, 1.0, 4)
    weights = [np.prod([(at - other) / (node - other) for other in nodes if other != node], axis=0) for node in nodes]
    return np.stack(weights, 1) @ knots


def build_glasses(glasses: Glasses, eyes: np.ndarray, front: float, ears: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A frame at rest: two rims, a bridge and two temples; vertices (V, 3) and faces (F, 3).

    ``eyes`` (2, 3) centres of the eyeballs (right, left), ``front`` the depth z of the nose bridge (metres), ``ears``
    (2, 3) where the temples end (right, left).
    """
    parts = []
    turn = np.linspace(0, 2 * np.pi, 41)
    power = 2 / glasses.roundness
    for side, eye in zip((-1.0, 1.0), eyes, strict=True):
        x = np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** power * glasses.width
        y = np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** power * glasses.height
        centre = np.array([eye[0] + side * 0.002, eye[1] - 0.003, front])
        bend = -0.5 * side * 0.12 * (x + side * glasses.width)  # rims follow the face round
        rim = centre + np.stack([x, y, bend], 1)
        parts.append(_tube(rim, glasses.rim))
        hinge = centre + np.array([side * glasses.width, 0.006, -0.12 * glasses.width])
        ear = ears[0 if side < 0 else 1]
        parts.append(_tube(np.linspace(hinge, ear, 8), glasses.rim))
    inner = [np.array([eye[0] + side * 0.002 - side * glasses.width, eye[1] + 0.002, front])
             for side, eye in zip((-1.0, 1.0), eyes, strict=True)]
    arch = np.linspace(inner[0], inner[1], 8)
    arch[:, 1] += 0.002 * np.sin(np.linspace(0, np.pi, 8))
    arch[:, 2] += 0.003 * np.sin(np.linspace(0, np.pi, 8))
    parts.append(_tube(arch, glasses.rim))
    offsets = np.cumsum([0] + [len(vertices) for vertices, _ in parts[:-1]])
    return (np.concatenate([vertices for vertices, _ in parts]),
            np.concatenate([faces + offset for (_, faces), offset in zip(parts, offsets, strict=True)]))


def _tube(path: np.ndarray, radius: float, sides: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """A tube of ``radius`` along ``path`` (N, 3)."""
    along = np.gradient(path, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    helper = np.where(np.abs(along[:, 2:3]) > 0.7, [0.0, 1.0, 0.0], [0.0, 0.0, 1.0])
    first = np.cross(along, helper)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(along, first)
    turn = np.arange(sides) * 2 * np.pi / sides
    rings = path[:, None] + radius * (np.cos(turn)[:, None] * first[:, None] + np.sin(turn)[:, None] * second[:, None])
    index = np.arange(len(path) * sides).reshape(len(path), sides)
    a, b = index[:-1], index[1:]
    c, d = np.roll(b, -1, 1), np.roll(a, -1, 1)
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    return rings.reshape(-1, 3), faces
