"""The arrays of a head model in FLAME's layout, made from the open head: plausible, and nobody's property."""

from __future__ import annotations

import numpy as np

from standins.mesh import Mesh, to_flame_frame

ROOT = np.array([0.0, -0.149, -0.082])
NO_PARENT = 2**32 - 1
_JAW = ("jawForward", "jawLeft", "jawOpen", "jawRight")


def flame_arrays(mesh: Mesh, seed: int = 0) -> dict[str, np.ndarray]:
    """v_template, f, shapedirs (300 identity, 100 expression), posedirs, J_regressor (dense), kintree_table, weights, J.

    The first 100 identity directions are the open head's. The first 50 expression directions mix its actions other than
    those of the jaw, which FLAME opens with its joint. All others are small smooth fields.
    """
    rng = np.random.default_rng(seed)
    arrays, vertices = mesh.open_head, mesh.vertices
    # One scale brings the open head to FLAME's size, so it scales its directions too.
    scale = to_flame_frame(np.ones(3))[0] - to_flame_frame(np.zeros(3))[0]
    identity = mesh.carry(np.moveaxis(arrays["id_basis"].astype(np.float64), 0, -1) * scale)
    actions = [i for i, name in enumerate(arrays["exp_names"]) if name not in _JAW]
    moved = mesh.carry(np.moveaxis(arrays["exp_basis"].astype(np.float64)[actions], 0, -1) * scale)
    mixing = np.linalg.qr(rng.standard_normal((50, len(actions))))[0] * 0.35
    weights = mesh.carry(arrays["lbs_weights"].astype(np.float64))
    face = np.clip((vertices[:, 2] - 0.02) / 0.04, 0, 1)[:, None, None]
    shapedirs = np.concatenate([identity, smooth_fields(vertices, 200, 3e-4, rng), moved @ mixing.T,
                                smooth_fields(vertices, 50, 2e-4, rng) * face], 2)
    weights /= weights.sum(1, keepdims=True)
    posedirs = np.concatenate([smooth_fields(vertices, 9, 2e-3, rng) * (w * (1 - 0.5 * w))[:, None, None]
                               for w in weights.T[1:]], 2)
    joints = to_flame_frame(arrays["joints_template"].astype(np.float64))
    joints[0] = ROOT
    regressor = np.stack([affine_weights(vertices, joint) for joint in joints])
    return {"v_template": vertices.copy(), "f": mesh.faces.astype(np.uint32), "shapedirs": shapedirs, "posedirs": posedirs,
            "J_regressor": regressor, "weights": weights, "J": joints,
            "kintree_table": np.array([[NO_PARENT, 0, 1, 1, 1], [0, 1, 2, 3, 4]], np.int64)}


def smooth_fields(vertices: np.ndarray, count: int, size: float, rng: np.random.Generator) -> np.ndarray:
    """(V, 3, count) displacements of about ``size`` metres that vary over some six centimetres."""
    waves = rng.standard_normal((count, 3)) * 25
    phases = rng.uniform(0, 2 * np.pi, count)
    directions = rng.standard_normal((3, count))
    return size * np.sin(vertices @ waves.T + phases)[:, None] * (directions / np.linalg.norm(directions, axis=0))


def affine_weights(vertices: np.ndarray, point: np.ndarray, near: int = 80) -> np.ndarray:
    """(V,) weights that sum to 1 and give ``point``, the smallest such on the vertices nearest to it."""
    chosen = np.argsort(np.linalg.norm(vertices - point, axis=1), kind="stable")[:near]
    system = np.concatenate([vertices[chosen].T, np.ones((1, near))])
    weights = np.zeros(len(vertices))
    weights[chosen] = np.linalg.lstsq(system, np.append(point, 1.0), rcond=None)[0]
    return weights
