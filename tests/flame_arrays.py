"""Plain arrays in FLAME's layout: a small random head for formulas, and the open head's geometry for everything visible."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.flame import PARENTS, Flame
from diffusionrig.geometry.flame_landmarks import CONTOUR
from diffusionrig.geometry.heads import load_head
from diffusionrig.geometry.open_head import OpenHead

Arrays = dict[str, np.ndarray]


def random_flame(count: int = 60, seed: int = 0) -> tuple[Arrays, Arrays, np.ndarray, np.ndarray, Arrays]:
    """Model, embedding, texture coordinates and their triangles, and a 512-pixel texture space, all random."""
    draw = np.random.default_rng(seed)
    faces = np.stack([draw.permutation(count)[:3] for _ in range(2 * count)])
    weights = draw.random((count, 5)) ** 4
    regressor = draw.random((5, count)) ** 8
    model = {"v_template": 0.1 * draw.standard_normal((count, 3)), "faces": faces,
             "shapedirs": 0.003 * draw.standard_normal((count, 3, 400)),
             "posedirs": 0.01 * draw.standard_normal((count, 3, 36)),
             "J_regressor": regressor / regressor.sum(1, keepdims=True), "parents": np.array(PARENTS),
             "weights": weights / weights.sum(1, keepdims=True)}
    embedding: Arrays = {}
    for name, shape in (("static", (51,)), ("dynamic", (79, 17)), ("full", (68,))):
        embedding[f"{name}_faces"] = draw.integers(0, len(faces), shape)
        embedding[f"{name}_bary"] = draw.dirichlet(np.ones(3), shape)
    embedding["full_faces"][CONTOUR:] = embedding["static_faces"]
    embedding["full_bary"][CONTOUR:] = embedding["static_bary"]
    uv = draw.random((count + 5, 2))
    return model, embedding, uv, draw.integers(0, count + 5, faces.shape), random_texture(draw)


def random_texture(draw: np.random.Generator, components: int = 52) -> Arrays:
    """An albedo space in the layout of FLAME_texture.npz."""
    return {"mean": 255 * draw.random((512, 512, 3), np.float32),
            "tex_dir": 10 * draw.standard_normal((512, 512, 3, components), np.float32)}


def _joint_regressor(vertices: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """(5, V) with rows summing to 1, the smallest that gives ``joints`` (C, 5, 3) from ``vertices`` (C, V, 3)."""
    rows = vertices.transpose(0, 2, 1).reshape(-1, vertices.shape[1])
    rows = np.concatenate([rows, 0.1 * np.ones((1, vertices.shape[1]))])
    wanted = np.concatenate([joints.transpose(0, 2, 1).reshape(-1, 5), 0.1 * np.ones((1, 5))])
    return np.linalg.lstsq(rows, wanted, rcond=1e-9)[0].T


@lru_cache(maxsize=1)
def open_flame_arrays() -> tuple[Arrays, Arrays, np.ndarray, np.ndarray, Arrays]:
    """The open head in FLAME's layout: its identity basis, 50 principal components of its expressions, no correctives.

    The coefficients have unit spread for random identities and for weights of half of all actions, as FLAME's have.
    """
    head = load_head()
    assert isinstance(head, OpenHead)
    count = len(head.v_template)
    basis = head.basis.double().numpy().reshape(-1, count, 3)
    joint_basis = head.joint_basis.double().numpy().reshape(-1, 5, 3)
    template = head.v_template.double().numpy()
    actions = basis[head.n_shape:].reshape(head.n_expression, -1)
    _, spread, modes = np.linalg.svd(0.25 * actions, full_matrices=False)
    directions = np.zeros((count, 3, 400))
    directions[..., :head.n_shape] = basis[:head.n_shape].transpose(1, 2, 0)
    directions[..., 300:350] = (spread[:50, None] * modes[:50]).reshape(50, count, 3).transpose(1, 2, 0)
    joints = np.concatenate([head.joints_template.double().numpy()[None], joint_basis[:head.n_shape]])
    regressor = _joint_regressor(np.concatenate([template[None], basis[:head.n_shape]]), joints)
    model = {"v_template": template, "faces": head.faces.numpy(), "shapedirs": directions,
             "posedirs": np.zeros((count, 3, 36)), "J_regressor": regressor, "parents": np.array(PARENTS),
             "weights": head.weights.double().numpy()}
    lmk, bary = head.lmk_face.numpy(), head.lmk_bary.double().numpy()
    embedding = {"static_faces": lmk[CONTOUR:], "static_bary": bary[CONTOUR:], "full_faces": lmk, "full_bary": bary,
                 "dynamic_faces": head.contour_face.numpy(), "dynamic_bary": head.contour_bary.double().numpy()}
    colours = np.concatenate([head.albedo_mean.numpy()[None], head.albedo_basis.numpy()]).reshape(-1, 3, 256, 256)
    large = 255 * colours.repeat(2, 2).repeat(2, 3)[:, ::-1].transpose(2, 3, 1, 0)
    space = np.zeros((512, 512, 3, 50), np.float32)
    space[..., :head.n_albedo] = large[..., 1:]
    texture = {"mean": np.ascontiguousarray(large[..., 0]), "tex_dir": space}
    return model, embedding, head.uv.double().numpy(), head.uv_faces.numpy(), texture


@lru_cache(maxsize=1)
def open_flame() -> Flame:
    """A Flame that looks like the open head, triangles in another order so that nothing made for the open head fits it."""
    model, embedding, uv, uv_faces, texture = open_flame_arrays()
    order = np.random.default_rng(0).permutation(len(uv_faces))
    place = np.argsort(order)
    embedding = {name: place[array] if name.endswith("faces") else array for name, array in embedding.items()}
    head = load_head()
    mask = uv_mask(uv, uv_faces, model["faces"], head.regions["face"].numpy())
    return Flame({**model, "faces": model["faces"][order]}, embedding, uv, uv_faces[order], texture, name="flame-2020",
                 masks={"face": mask})


def uv_mask(uv: np.ndarray, uv_faces: np.ndarray, faces: np.ndarray, values: np.ndarray, size: int = 256) -> np.ndarray:
    """A grey image over the UV square from values of vertices: each vertex paints a disc."""
    mask = np.zeros((size, size))
    rows, columns = np.mgrid[:size, :size] + 0.5
    painted = {(int(t), int(v)) for t, v in zip(uv_faces.reshape(-1), faces.reshape(-1)) if values[v] > 0.5}
    for t, _ in painted:
        x, y = uv[t, 0] * size, (1 - uv[t, 1]) * size
        near = (slice(max(int(y) - 4, 0), int(y) + 5), slice(max(int(x) - 4, 0), int(x) + 5))
        mask[near][np.hypot(rows[near] - y, columns[near] - x) < 4] = 1
    return mask


def flame_code(head: Flame, batch: int = 1, seed: int | None = None, dtype: torch.dtype = torch.float32) -> FaceCode:
    """Neutral faces, or with a ``seed`` random ones."""
    draw = torch.Generator().manual_seed(seed or 0)
    size = 0.0 if seed is None else 1.0

    def normal(*shape: int) -> torch.Tensor:
        return size * torch.randn(batch, *shape, generator=draw, dtype=torch.float64).to(dtype)

    light = 0.2 * normal(9, 3)
    light[:, 0] += 3
    camera = 0.01 * normal(3) + torch.tensor([7.0, 0.0, 0.0], dtype=dtype)
    return FaceCode(shape=normal(head.n_shape), albedo=normal(head.n_albedo), expression=normal(head.n_expression),
                    pose=0.3 * normal(6), eyes=0.2 * normal(6), camera=camera, light=light, head=head.name)
