"""DiffusionRig's buffers of a FLAME head, from the arrays of the files to the nine channels, evaluated here in float64.

Nothing of the package but the Flame under test is used: every step is written out again in NumPy from the published
description. Faces are decided in float32 by the renderer and in float64 here, so a pixel or two may differ at edges.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from flame_arrays import open_flame_arrays

from diffusionrig.geometry.alignment import ffhq_centre
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.flame import Flame
from diffusionrig.render.physical import render_buffers

SIZE = 96
FRAME = 256


@dataclasses.dataclass
class Code:
    """One face in float64."""

    shape: np.ndarray
    tex: np.ndarray
    exp: np.ndarray
    pose: np.ndarray
    cam: np.ndarray
    light: np.ndarray
    tform: np.ndarray


@pytest.fixture(scope="module")
def arrays():
    """Files of a head of full size: triangles shuffled, and pose correctives that the open head does not have."""
    model, embedding, uv, uv_faces, texture = open_flame_arrays()
    order = np.random.default_rng(0).permutation(len(uv_faces))
    place = np.argsort(order)
    waves = np.random.default_rng(1).normal(0, 25, (3, 108))
    correctives = 0.002 * np.sin(model["v_template"] @ waves).reshape(-1, 3, 36)
    model = {**model, "faces": model["faces"][order], "posedirs": correctives}
    embedding = {name: place[array] if name.endswith("faces") else array for name, array in embedding.items()}
    return model, embedding, uv, uv_faces[order], texture


@pytest.fixture(scope="module")
def head(arrays) -> Flame:
    return Flame(*arrays, name="flame-2020")


@pytest.fixture(scope="module")
def codes() -> list[Code]:
    draw = np.random.default_rng(5)
    made = []
    for i in range(3):
        light = draw.normal(0, 0.5, (9, 3))
        light[0] += 2.5
        size, x, y = 180 + 7 * i, 126 + 3 * i, 120 + 5 * i
        a = 223 / size
        made.append(Code(draw.normal(0, 1, 100), draw.normal(0, 1, 50), draw.normal(0, 1, 50),
                         np.concatenate([draw.normal(0, 0.3, 3), [0.2, 0.02, -0.01]]),
                         np.array([8.5 + 0.3 * i, *draw.normal(0, 0.01, 2)]), light,
                         np.array([[a, 0, -(x - size / 2) * a], [0, a, -(y - size / 2) * a], [0, 0, 1]])))
    return made


def tensors(codes: list[Code]) -> FaceCode:
    def stack(name: str) -> torch.Tensor:
        return torch.from_numpy(np.stack([getattr(code, name) for code in codes])).float()

    return FaceCode(shape=stack("shape"), albedo=stack("tex"), expression=stack("exp"), pose=stack("pose"), camera=stack("cam"),
                    light=stack("light"), crop=stack("tform"), frame=torch.full((len(codes), 2), float(FRAME)),
                    head="flame-2020")


def rodrigues(r: np.ndarray) -> np.ndarray:
    angle = math.sqrt(((r + 1e-8) ** 2).sum())
    x, y, z = r / angle
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + math.sin(angle) * k + (1 - math.cos(angle)) * k @ k


def world_vertices(model: dict[str, np.ndarray], code: Code) -> np.ndarray:
    v = model["v_template"] + model["shapedirs"][..., :100] @ code.shape + model["shapedirs"][..., 300:350] @ code.exp
    joints = model["J_regressor"] @ v
    turns = [rodrigues(r) for r in (code.pose[:3], np.zeros(3), code.pose[3:], np.zeros(3), np.zeros(3))]
    v = v + model["posedirs"] @ np.concatenate([(turn - np.eye(3)).ravel() for turn in turns[1:]])
    chain = []
    for j, parent in enumerate((-1, 0, 1, 1, 1)):
        step = np.eye(4)
        step[:3, :3], step[:3, 3] = turns[j], joints[j] - (joints[parent] if j else 0)
        chain.append(chain[parent] @ step if j else step)
    moves = np.stack([np.concatenate([g[:3, :3], (g[:3, 3] - g[:3, :3] @ joints[j])[:, None]], 1) for j, g in enumerate(chain)])
    blended = np.einsum("vj,jrc->vrc", model["weights"], moves)
    return np.einsum("vrc,vc->vr", blended[..., :3], v) + blended[..., 3]


def centre_of(model: dict[str, np.ndarray], embedding: dict[str, np.ndarray], v: np.ndarray) -> np.ndarray:
    """The FFHQ centre from the inner landmarks, which no yaw moves; the contour's 17 come before them."""
    corners = v[model["faces"][embedding["static_faces"]]]
    points = (corners * embedding["static_bary"][..., None]).sum(1)
    eyes = (points[36 - 17:42 - 17].mean(0) + points[42 - 17:48 - 17].mean(0)) / 2
    mouth = (points[48 - 17] + points[54 - 17]) / 2
    return eyes + 0.1 * (mouth - eyes)


def picture_plane(v: np.ndarray, code: Code) -> np.ndarray:
    s, tx, ty = code.cam
    x, y, z = s * (v[:, 0] + tx), -s * (v[:, 1] + ty), -s * v[:, 2]
    crop = np.stack([(x * 0.5 + 0.5) * 224, (y * 0.5 + 0.5) * 224, np.ones(len(v))], 1)
    whole = crop @ np.linalg.inv(code.tform).T
    return np.stack([whole[:, 0] / FRAME * 2 - 1, whole[:, 1] / FRAME * 2 - 1, z + 10], 1)


def rasterise(p: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Face (S, S), -1 where there is none, and barycentric coordinates (S, S, 3), by the published rules."""
    nearest, found, weights = np.full((SIZE, SIZE), np.inf), np.full((SIZE, SIZE), -1), np.zeros((SIZE, SIZE, 3))
    centres = (2 * np.arange(SIZE) + 1) / SIZE - 1

    def edge(px, py, a, b):
        return (px - a[0]) * (b[1] - a[1]) - (py - a[1]) * (b[0] - a[0])

    for number, (a, b, c) in enumerate(p[faces]):
        area = edge(c[0], c[1], a, b)
        if abs(area) <= 1e-8:
            continue
        columns = np.flatnonzero((centres >= min(a[0], b[0], c[0])) & (centres <= max(a[0], b[0], c[0])))
        rows = np.flatnonzero((centres >= min(a[1], b[1], c[1])) & (centres <= max(a[1], b[1], c[1])))
        if not len(columns) or not len(rows):
            continue
        # The published axes point left and up; negating both changes no edge function.
        px, py = centres[columns][None], centres[rows][:, None]
        w = np.stack([edge(px, py, b, c), edge(px, py, c, a), edge(px, py, a, b)], -1) / (area + 1e-8)
        depth = w @ np.array([a[2], b[2], c[2]])
        block = np.ix_(rows, columns)
        better = (w > 0).all(-1) & (depth < nearest[block])
        nearest[block] = np.where(better, depth, nearest[block])
        found[block] = np.where(better, number, found[block])
        weights[block] = np.where(better[..., None], w, weights[block])
    return found, weights


def smooth_normals(v: np.ndarray, faces: np.ndarray) -> np.ndarray:
    a, b, c = v[faces[:, 0]], v[faces[:, 1]], v[faces[:, 2]]
    total = np.zeros_like(v)
    for corner in range(3):
        np.add.at(total, faces[:, corner], np.cross(b - a, c - a))
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-6)


def texture_of(texture: dict[str, np.ndarray], tex: np.ndarray) -> np.ndarray:
    """(256, 256, 3) RGB: 0..255 BGR on disk, every second row and column; not clamped."""
    full = (texture["mean"][::2, ::2].astype(np.float64) + texture["tex_dir"][::2, ::2, :, :50] @ tex) / 255
    return full[..., ::-1]


def bilinear(image: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Values at u, v in -1..1 from edge to edge, zeros outside."""
    x, y = ((u + 1) * 256 - 1) / 2, ((v + 1) * 256 - 1) / 2
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)))
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    a, b = (x - left)[..., None], (y - top)[..., None]
    at = [[padded[np.clip(top + i + 1, 0, 257), np.clip(left + j + 1, 0, 257)] for j in (0, 1)] for i in (0, 1)]
    return (1 - b) * ((1 - a) * at[0][0] + a * at[0][1]) + b * ((1 - a) * at[1][0] + a * at[1][1])


def shading(n: np.ndarray, light: np.ndarray) -> np.ndarray:
    x, y, z = np.moveaxis(n, -1, 0)
    bands = np.stack([0.2820947918 * np.ones_like(x), 1.0233267079 * x, 1.0233267079 * y, 1.0233267079 * z,
                      0.8580855308 * x * y, 0.8580855308 * x * z, 0.8580855308 * y * z,
                      0.4290427654 * (x * x - y * y), 0.2477079561 * (3 * z * z - 1)], -1)
    return bands @ light


def published_buffers(arrays, code: Code, centre: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """rendered, normal, albedo (S, S, 9) and the face at each pixel (S, S)."""
    model, embedding, uv, uv_faces, texture = arrays
    v = world_vertices(model, code)
    if centre is not None:
        v = v + (centre - centre_of(model, embedding, v))
    found, weights = rasterise(picture_plane(v, code), model["faces"])
    seen = (found >= 0)[..., None]
    normal = (smooth_normals(v, model["faces"])[model["faces"][found]] * weights[..., None]).sum(2) * seen
    place = ((uv * [2, -2] + [-1, 1])[uv_faces[found]] * weights[..., None]).sum(2) * seen
    albedo = bilinear(texture_of(texture, code.tex), place[..., 0], place[..., 1]) * seen
    return np.concatenate([albedo * shading(normal, code.light), normal, albedo], -1), found


def compare(ours: torch.Tensor, alpha: torch.Tensor, expected: np.ndarray, found: np.ndarray) -> None:
    assert (alpha.numpy() != (found >= 0)).sum() <= 2
    difference = np.abs(ours.permute(1, 2, 0).numpy() - expected).max(-1)
    assert (difference > 2e-4).sum() <= 8  # where another of two faces that touch was taken
    assert np.median(difference[found >= 0]) < 5e-6


def test_buffers_are_the_published_ones(arrays, head, codes):
    buffers = render_buffers(head, tensors(codes), SIZE)
    for i, code in enumerate(codes):
        expected, found = published_buffers(arrays, code)
        assert 0.2 < (found >= 0).mean() < 0.9
        compare(buffers.stack()[i], buffers.alpha[i, 0], expected, found)
        lengths = np.linalg.norm(expected[..., 3:6], axis=-1)[found >= 0]
        assert lengths.min() < 0.99  # interpolated normals are not brought back to unit length
    outside = (buffers.alpha == 0).expand(-1, 9, -1, -1)
    assert (buffers.stack()[outside] == 0).all()
    assert buffers.rendered.max() > 1  # and nothing is clamped


def test_the_centre_of_the_source_is_kept_in_every_row_of_a_batch(arrays, head, codes):
    model, embedding = arrays[:2]
    centres = [centre_of(model, embedding, world_vertices(model, code)) for code in codes]
    batch = tensors(codes)
    ours = ffhq_centre(head.landmarks(head.vertices(batch), batch))
    np.testing.assert_allclose(ours.numpy(), np.stack(centres), atol=1e-6)
    edited = [dataclasses.replace(code, pose=np.concatenate([codes[i - 1].pose[:3], code.pose[3:]]))
              for i, code in enumerate(codes)]
    buffers = render_buffers(head, tensors(edited), SIZE, centre=ours)
    for i, code in enumerate(edited):
        expected, found = published_buffers(arrays, code, centres[i])
        compare(buffers.stack()[i], buffers.alpha[i, 0], expected, found)
