"""A head with the sizes of FLAME's topology: the open head without teeth and tongue, its longest edges halved.

5023 vertices, 9976 triangles, 5118 texture coordinates of which 95 are second ones. Whatever is known on the open head's
vertices is carried over exactly, since every new vertex is the middle of two old ones.
"""

from __future__ import annotations

import dataclasses
import functools
from collections import defaultdict
from pathlib import Path

import numpy as np

OPEN_HEAD = Path(__file__).resolve().parents[2] / "diffusionrig" / "assets" / "open_head.npz"
VERTICES, FACES, UVS = 5023, 9976, 5118
_TOP, _FRONT, _SCALE = 0.13, 0.077, 1.12


@dataclasses.dataclass
class Mesh:
    """vertices (V, 3) metres in FLAME's frame; faces (F, 3); uv (T, 2); uv_faces (F, 3); source: the face of the open head
    that each face came from; open_head: the arrays it was made of."""

    vertices: np.ndarray
    faces: np.ndarray
    uv: np.ndarray
    uv_faces: np.ndarray
    source: np.ndarray
    open_head: dict[str, np.ndarray]
    _kept: np.ndarray
    _halved: np.ndarray
    _order: np.ndarray

    def carry(self, values: np.ndarray) -> np.ndarray:
        """``values`` (V of the open head, ...) on the vertices of this mesh."""
        values = np.concatenate([values[self._kept], np.zeros((len(self._halved), *values.shape[1:]), values.dtype)])
        start = len(self._kept)
        for at, (a, b) in enumerate(self._halved):
            values[start + at] = (values[a] + values[b]) / 2
        return values[self._order]

    def locate(self, face: np.ndarray, bary: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points of the open head (face index, barycentric) as points of this mesh."""
        template = to_flame_frame(self.open_head["v_template"].astype(np.float64))
        points = (template[self.open_head["faces"].astype(int)[face]] * bary[..., None]).sum(-2)
        faces, barys = np.empty(face.shape, np.int64), np.empty((*face.shape, 3))
        for index in np.ndindex(face.shape):
            candidates = np.flatnonzero(self.source == face[index])
            found = np.stack([barycentric(points[index], self.vertices[self.faces[c]]) for c in candidates])
            best = int(found.min(1).argmax())
            faces[index] = candidates[best]
            inside = found[best].clip(0)
            barys[index] = inside / inside.sum()
        return faces, barys


def to_flame_frame(points: np.ndarray) -> np.ndarray:
    """Points of the open head in FLAME's size and place: crown at y = 0.13 m, nose tip at z = 0.077 m."""
    top, front = 0.1181668, 0.0469132
    return points * _SCALE + np.array([0, _TOP - _SCALE * top, _FRONT - _SCALE * front])


def barycentric(point: np.ndarray, triangle: np.ndarray) -> np.ndarray:
    """Barycentric coordinates (3,) of the point's projection onto the plane of a triangle (3, 3)."""
    edges = np.stack([triangle[1] - triangle[0], triangle[2] - triangle[0]])
    v, w = np.linalg.lstsq(edges @ edges.T, edges @ (point - triangle[0]), rcond=None)[0]
    return np.array([1 - v - w, v, w])


@functools.cache
def make_mesh() -> Mesh:
    """The head; always the same, and made once."""
    with np.load(OPEN_HEAD) as archive:
        arrays = {name: archive[name] for name in archive.files}
    faces, uv_faces = arrays["faces"].astype(int), arrays["ft"].astype(int)
    parts = _components(faces, len(arrays["v_template"]))
    sizes = sorted(((parts == part).sum(), part) for part in np.unique(parts))
    skin = sizes[-1][1]
    eyes = [part for size, part in sizes if size == 72]
    keep = np.flatnonzero(np.isin(parts[faces[:, 0]], [skin, *eyes]))
    uv = arrays["vt"].astype(np.float64)
    uv_faces = _tuck_in(faces[keep], uv_faces[keep], uv)
    faces, kept = _renumber(faces[keep])
    uv_faces, uv_kept = _renumber(uv_faces)
    uv = uv[uv_kept]
    template = to_flame_frame(arrays["v_template"].astype(np.float64)[kept])
    faces, uv_faces, source, uv, halved = _halve(template, faces, uv_faces, keep, uv)
    # One more seam vertex makes FLAME's number of them.
    uv, uv_faces[0, 0] = np.concatenate([uv, uv[uv_faces[0, :1]]]), len(uv)
    # Skin first, then the subject's left eyeball, then the right one, as in FLAME.
    which = np.concatenate([parts[kept], np.zeros(len(halved), int)])
    for at, (a, _) in enumerate(halved):
        which[len(kept) + at] = which[a]
    left = {eye: template[parts[kept] == eye][:, 0].mean() > 0 for eye in eyes}
    rank = np.array([0 if part == skin else 1 if left[part] else 2 for part in which])
    order = np.argsort(rank, kind="stable")
    mesh = Mesh(np.empty(0), np.argsort(order)[faces], uv, uv_faces, source, arrays, kept, halved, order)
    mesh.vertices = mesh.carry(to_flame_frame(arrays["v_template"].astype(np.float64)))
    return mesh


def _components(faces: np.ndarray, count: int) -> np.ndarray:
    label = np.arange(count)
    while True:
        lowest = label[faces].min(1)
        new = label.copy()
        for corner in range(3):
            np.minimum.at(new, faces[:, corner], lowest)
        if (new == label).all():
            return label
        label = new


def _renumber(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    used = np.unique(faces)
    return np.searchsorted(used, faces), used


def _tuck_in(faces: np.ndarray, uv_faces: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Give the three hidden cavities (eye sockets, mouth) the texture coordinates of their rim, spread within it.

    FLAME has fewer seams than the open head; these are seams that nobody sees. ``uv`` is changed in place.
    """
    islands = _components(uv_faces, len(uv))
    sizes = {island: len(np.unique(uv_faces[islands[uv_faces[:, 0]] == island])) for island in np.unique(islands[uv_faces])}
    face_island = max(sizes, key=lambda island: sizes[island])
    hidden = sorted(sizes, key=lambda island: -sizes[island])[1:4]
    uv_of = dict(zip(faces[islands[uv_faces[:, 0]] == face_island].ravel().tolist(),
                     uv_faces[islands[uv_faces[:, 0]] == face_island].ravel().tolist()))
    result = uv_faces.copy()
    for island in hidden:
        rows = islands[uv_faces[:, 0]] == island
        corners, own = faces[rows], uv_faces[rows]
        rim = np.array([[vertex in uv_of for vertex in corner] for corner in corners.tolist()])
        result[rows] = np.where(rim, [[uv_of.get(vertex, -1) for vertex in corner] for corner in corners.tolist()], own)
        inner = np.unique(own[~rim])
        neighbours = defaultdict(set)
        for triangle in result[rows].tolist():
            for a in triangle:
                neighbours[a] |= set(triangle) - {a}
        uv[inner] = uv[np.unique(result[rows][rim])].mean(0)
        for _ in range(60):
            for a in inner.tolist():
                uv[a] = uv[list(neighbours[a])].mean(0)
    return result


def _halve(template: np.ndarray, faces: np.ndarray, uv_faces: np.ndarray, source: np.ndarray,
           uv: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    triangles, corners, origin = faces.tolist(), uv_faces.tolist(), source.tolist()
    points, coordinates, halved = template.tolist(), uv.tolist(), []
    while len(points) < VERTICES:
        rims = (FACES - len(triangles)) - (VERTICES - len(points))  # inner edges still to halve
        edges = defaultdict(list)
        for t, triangle in enumerate(triangles):
            for i in range(3):
                edges[tuple(sorted((triangle[i], triangle[(i + 1) % 3])))].append((t, i))
        inner = [edge for edge, where in edges.items() if len(where) == 2 and _same_uv(where, corners)]
        border = [edge for edge, where in edges.items() if len(where) == 1]
        touched: set[int] = set()
        for chosen, wanted in ((inner, rims), (border, VERTICES - len(points) - rims)):
            weight = np.array([_length(points[a], points[b]) for a, b in chosen])
            for at in np.argsort(-weight, kind="stable")[:400]:
                where = edges[chosen[at]]
                if wanted == 0:
                    break
                if touched & {t for t, _ in where}:
                    continue
                touched |= {t for t, _ in where}
                wanted -= 1
                _halve_edge(chosen[at], where, triangles, corners, origin, points, coordinates, halved)
    return (np.array(triangles), np.array(corners), np.array(origin), np.array(coordinates), np.array(halved))


def _length(a: list[float], b: list[float]) -> float:
    # The face gets more than its share, as in FLAME.
    return float(np.hypot(np.hypot(a[0] - b[0], a[1] - b[1]), a[2] - b[2])) * (1.6 if a[2] + b[2] > 0.04 else 1.0)


def _same_uv(where: list[tuple[int, int]], corners: list[list[int]]) -> bool:
    (t, i), (u, j) = where
    return {corners[t][i], corners[t][(i + 1) % 3]} == {corners[u][j], corners[u][(j + 1) % 3]}


def _halve_edge(edge: tuple[int, int], where: list[tuple[int, int]], triangles: list[list[int]], corners: list[list[int]],
                origin: list[int], points: list[list[float]], coordinates: list[list[float]],
                halved: list[tuple[int, int]]) -> None:
    new, new_uv = len(points), len(coordinates)
    t, i = where[0]
    points.append([(a + b) / 2 for a, b in zip(points[edge[0]], points[edge[1]])])
    coordinates.append([(a + b) / 2 for a, b in zip(coordinates[corners[t][i]], coordinates[corners[t][(i + 1) % 3]])])
    halved.append(edge)
    for t, i in where:
        for table, middle in ((triangles, new), (corners, new_uv)):
            first, second, third = (table[t][(i + k) % 3] for k in range(3))
            table[t] = [first, middle, third]
            table.append([middle, second, third])
        origin.append(origin[t])
