"""The canonical metric face of the Face Landmarker bundle, read from its protocol buffer."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from diffusionrig.errors import RigError
from diffusionrig.faces.networks import BUNDLE, CANONICAL, bundle_member

IRISES_MIRRORED = (473, 476, 475, 474, 477, 468, 471, 470, 469, 472)
"""Of the iris landmarks 468-477: centre, and the points to both sides, above and below."""


@dataclass(frozen=True)
class CanonicalFace:
    """vertices (468, 3) float32 centimetres (x towards the subject's left, y up, z out of the face); uv (468, 2);
    triangles (898, 3) int64. Vertex i is landmark i; the ten iris landmarks 468-477 have no vertex."""

    vertices: np.ndarray
    uv: np.ndarray
    triangles: np.ndarray


@functools.cache
def canonical_face() -> CanonicalFace:
    """The canonical face, read once. Its arrays are read-only, as every caller gets the same ones."""
    return parse_canonical(bundle_member(CANONICAL))


@functools.cache
def mirrored_landmarks() -> tuple[int, ...]:
    """For each of the 478 landmarks the one that marks the same place of the mirrored face."""
    vertices = canonical_face().vertices
    other = vertices * np.array([-1, 1, 1], np.float32)
    nearest = np.square(other[:, None] - vertices).sum(-1).argmin(1)
    return (*map(int, nearest), *IRISES_MIRRORED)


def parse_canonical(data: bytes) -> CanonicalFace:
    """Read MediaPipe's GeometryPipelineMetadata: field 1 is the mesh, with vertex values as packed or repeated
    float32 in field 3 (x, y, z, u, v) and triangle indices in field 4."""
    try:
        mesh = next(value for field, value in _fields(data) if field == 1 and isinstance(value, bytes))
        floats, indices = bytearray(), []
        for field, value in _fields(mesh):
            if field == 3 and isinstance(value, bytes):
                floats += value
            elif field == 4 and isinstance(value, int):
                indices.append(value)
            elif field == 4 and isinstance(value, bytes):
                indices += _varints(value)
        values = np.frombuffer(bytes(floats), dtype="<f4").reshape(-1, 5).astype(np.float32)
        triangles = np.array(indices, dtype=np.int64).reshape(-1, 3)
    except (IndexError, ValueError, StopIteration) as error:
        raise RigError(f"The canonical face in assets/{BUNDLE} is damaged; install diffusionrig again.") from error
    face = CanonicalFace(values[:, :3].copy(), values[:, 3:].copy(), triangles)
    for array in (face.vertices, face.uv, face.triangles):
        array.setflags(write=False)
    return face


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7


def _varints(data: bytes) -> list[int]:
    at, values = 0, []
    while at < len(data):
        value, at = _varint(data, at)
        values.append(value)
    return values


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, value) of one protocol buffer message: varints as int, everything else as its bytes."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield tag >> 3, value
            continue
        if kind == 2:
            length, at = _varint(data, at)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if at + length > len(data):
            raise ValueError("cut short")
        yield tag >> 3, data[at:at + length]
        at += length
