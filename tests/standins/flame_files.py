"""Stand-ins of FLAME's own files: the two pickles, the landmark tables, the template as OBJ, the eyelids."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from standins.mesh import Mesh
from standins.pickles import Call, Instance, Name, dumps, object_npy

_CHUMPY = Name("chumpy.ch", "Ch")


def chumpy(array: np.ndarray) -> Instance:
    """What chumpy pickles of an array."""
    return Instance(_CHUMPY, {"x": array, "_dirty_vars": set(), "_itr": None, "_depends_on_deps": False})


def sparse(array: np.ndarray, module: str = "scipy.sparse.csc", old: bool = True, shape_key: str = "_shape") -> Instance:
    """``array`` as a pickled CSC matrix."""
    rows = [np.flatnonzero(column) for column in array.T]
    state = {"format": "csc", shape_key: array.shape, "maxprint": 50,
             "data": np.concatenate([array[row, j] for j, row in enumerate(rows)]),
             "indices": np.concatenate(rows).astype(np.int32),
             "indptr": np.append(0, np.cumsum([len(row) for row in rows])).astype(np.int32)}
    return Instance(Name(module, "csc_matrix"), state, old)


def write_flame_2020(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """generic_model.pkl: Python 2, ``shapedirs`` in chumpy, ``J_regressor`` in SciPy's old module."""
    path.write_bytes(dumps({**arrays, "shapedirs": chumpy(arrays["shapedirs"]), "J_regressor": sparse(arrays["J_regressor"]),
                            "bs_style": "lbs", "bs_type": "lrotmin"}))


def write_flame_2023(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """flame2023.pkl: plain arrays, numpy's and SciPy's newer module names."""
    kintree = np.where(arrays["kintree_table"] == 2**32 - 1, -1, arrays["kintree_table"])
    matrix = sparse(arrays["J_regressor"], "scipy.sparse._csc", old=False)
    path.write_bytes(dumps({**arrays, "J_regressor": matrix, "kintree_table": kintree, "bs_style": "lbs",
                            "bs_type": "lrotmin"}, protocol=4, core="numpy._core.multiarray"))


def embedding_arrays(mesh: Mesh) -> dict[str, np.ndarray]:
    """The six landmark tables: 51 fixed points, 17 contour points for 79 yaws, and 68 fixed points."""
    head = mesh.open_head
    face, bary = mesh.locate(head["lmk_face"].astype(int), head["lmk_bary"].astype(np.float64))
    turned, turned_bary = mesh.locate(head["contour_face"].astype(int), head["contour_bary"].astype(np.float64))
    return {"static_lmk_faces_idx": face[17:], "static_lmk_bary_coords": bary[17:],
            "dynamic_lmk_faces_idx": turned, "dynamic_lmk_bary_coords": turned_bary.astype(np.float32),
            "full_lmk_faces_idx": face[None], "full_lmk_bary_coords": bary[None].astype(np.float32)}


def tensor_call(tensor: torch.Tensor) -> Call:
    """A tensor as ``pickle`` (not ``torch.save``) writes it: legacy torch bytes inside the pickle."""
    import io

    stream = io.BytesIO()
    torch.save(tensor._typed_storage(), stream, _use_new_zipfile_serialization=False)
    storage = Call(Name("torch.storage", "_load_from_bytes"), stream.getvalue())
    return Call(Name("torch._utils", "_rebuild_tensor_v2"), storage, 0, tuple(tensor.shape), tuple(tensor.stride()), False,
                Call(Name("collections", "OrderedDict")))


def write_embedding(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """landmark_embedding.npy: an object array of one dictionary, protocol 3, two of its six tables being torch tensors."""
    table = {name: tensor_call(torch.from_numpy(array)) if name.startswith("dynamic") else array
             for name, array in arrays.items()}
    holder = np.empty((), object)
    holder[()] = table
    path.write_bytes(object_npy(dumps(holder, protocol=3)))


def write_mediapipe_embedding(path: Path, mesh: Mesh) -> None:
    """mediapipe_landmark_embedding.npz: 105 of the Face Landmarker's points."""
    from standins.mesh import OPEN_HEAD

    with np.load(OPEN_HEAD.with_name("open_head_landmarks.npz")) as tie:
        skin = [i for i in range(468) if np.isin(tie["face"][i], mesh.source)]
        chosen = np.array(skin)[np.linspace(0, len(skin) - 1, 105).astype(int)]
        face, bary = mesh.locate(tie["face"][chosen].astype(int), tie["barycentric"][chosen].astype(np.float64))
    np.savez(path, lmk_face_idx=face.astype(np.uint32), lmk_b_coords=bary, landmark_indices=chosen.astype(np.int64))


def write_template(path: Path, mesh: Mesh) -> None:
    """head_template.obj as Blender exports it; its vertices lie in another frame than FLAME's and are of no use."""
    lines = ["# Blender v2.80 (sub 75) OBJ File: ''", "mtllib head_template.mtl", "o head"]
    lines += [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in (mesh.vertices + np.array([0, 1.5034, 0.0169])).tolist()]
    lines += [f"vt {u:.6f} {v:.6f}" for u, v in mesh.uv.tolist()]
    lines += ["usemtl head", "s 1"]
    lines += [f"f {a}/{ta} {b}/{tb} {c}/{tc}" for (a, ta), (b, tb), (c, tc)
              in (np.stack([mesh.faces, mesh.uv_faces], 2) + 1).tolist()]
    path.write_text("\n".join(lines) + "\n")


def write_eyelids(folder: Path, mesh: Mesh) -> None:
    """l_eyelid.npy, r_eyelid.npy: vertex offsets (5023, 3) float64 that close the subject's left and right eye."""
    names = mesh.open_head["exp_names"].tolist()
    for side, action, sign in (("l", "eyeBlinkLeft", 1), ("r", "eyeBlinkRight", -1)):
        offsets = mesh.carry(mesh.open_head["exp_basis"][names.index(action)].astype(np.float64))
        lid = (np.abs(offsets).max(1) > 5e-4) & (sign * mesh.vertices[:, 0] > 0)
        np.save(folder / f"{side}_eyelid.npy", offsets * lid[:, None])
