"""FLAME's files: the model (2020 and 2023), landmark tables, albedo spaces, and the template with its texture coordinates.

Each reader takes the plain copy that ``convert-assets`` made when that is there and not older than the original.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from diffusionrig.errors import RigError
from diffusionrig.io.array_checks import Wanted, check_array, wrong_shape
from diffusionrig.io.checked_npz import read_checked_npz
from diffusionrig.io.converted import newest
from diffusionrig.io.files import existing_file, read_bytes
from diffusionrig.io.object_npy import picked, read_object_npy
from diffusionrig.io.pickled_arrays import MODEL_FAMILIES, MODEL_NAMES
from diffusionrig.io.plain_npy import read_checked_npy
from diffusionrig.io.texture_files import read_texture
from diffusionrig.io.unpickle import restricted_loads

__all__ = ["read_eyelid", "read_fixed_displacement", "read_flame", "read_landmark_embedding", "read_mediapipe_embedding",
           "read_template_uv", "read_texture", "read_texture_data"]

VERTICES, FACES, UVS, JOINTS = 5023, 9976, 5118, 5
_MOST_BYTES = 1 << 29

MODEL_ARRAYS: dict[str, Wanted] = {
    "v_template": Wanted((VERTICES, 3), "f"),
    "shapedirs": Wanted((VERTICES, 3, 400), "f"),
    "posedirs": Wanted((VERTICES, 3, 36), "f"),
    "J_regressor": Wanted((JOINTS, VERTICES), "f"),
    "weights": Wanted((VERTICES, JOINTS), "f"),
}
_PLAIN_MODEL = {**MODEL_ARRAYS, "faces": Wanted((FACES, 3), "iu", VERTICES), "parents": Wanted((JOINTS,), "iu")}
_PICKLED_MODEL = {**MODEL_ARRAYS, "f": Wanted((FACES, 3), "iu", VERTICES), "kintree_table": Wanted((2, JOINTS), "iu")}

# Our short names, those of DECA's file, and the shapes there.
_EMBEDDING: dict[str, tuple[str, Wanted]] = {
    "static_faces": ("static_lmk_faces_idx", Wanted((51,), "iu", FACES)),
    "static_bary": ("static_lmk_bary_coords", Wanted((51, 3), "f")),
    "dynamic_faces": ("dynamic_lmk_faces_idx", Wanted((79, 17), "iu", FACES)),
    "dynamic_bary": ("dynamic_lmk_bary_coords", Wanted((79, 17, 3), "f")),
    "full_faces": ("full_lmk_faces_idx", Wanted((1, 68), "iu", FACES)),
    "full_bary": ("full_lmk_bary_coords", Wanted((1, 68, 3), "f")),
}
_MEDIAPIPE = {"lmk_face_idx": Wanted((105,), "iu", FACES), "lmk_b_coords": Wanted((105, 3), "f"),
              "landmark_indices": Wanted((105,), "iu", 478)}
_TEXTURE_DATA = {"x_coords": Wanted((65536,)), "y_coords": Wanted((65536,)), "valid_pixel_ids": Wanted((None,), "iu", 65536),
                 "valid_pixel_3d_faces": Wanted((None, 3), "iu", VERTICES), "valid_pixel_b_coords": Wanted((None, 3), "f"),
                 "f": Wanted((None, 3), "iu", 65536)}


def read_flame(path: str | Path, original: bool = False) -> dict[str, np.ndarray]:
    """FLAME's arrays from its pickle (2020 or 2023) or the plain copy of it.

    v_template (5023, 3) float64 metres; faces (9976, 3) int64; shapedirs (5023, 3, 400) float64, 300 identity and 100
    expression directions per standard deviation; posedirs (5023, 3, 36) float64; J_regressor (5, 5023) float64, dense;
    parents (5,) int64, -1 first; weights (5023, 5) float64. UsageError when the file is absent, RigError (one sentence,
    naming the array) when it is damaged, another model, or would run foreign code.
    """
    file = Path(path) if original else newest(Path(path))
    if file.suffix == ".npz":
        arrays = read_checked_npz(file, _PLAIN_MODEL, "FLAME model")
    else:
        found = picked(_model_pickle(file), _PICKLED_MODEL, str(file))
        arrays = {**{key: found[key] for key in MODEL_ARRAYS}, "faces": found["f"], "parents": _parents(found["kintree_table"])}
    _check_model(arrays, str(file))
    whole = {"faces", "parents"}
    return {key: np.ascontiguousarray(array, np.int64 if key in whole else np.float64) for key, array in arrays.items()}


def _model_pickle(file: Path) -> dict[str, Any]:
    data = read_bytes(existing_file(file, "FLAME model"), _MOST_BYTES)
    value = restricted_loads(data, MODEL_NAMES, str(file), MODEL_FAMILIES)
    if not isinstance(value, dict):
        raise RigError(f"{file} holds no dictionary of arrays; check that it is FLAME's generic_model.pkl.")
    return value


def _parents(kintree: np.ndarray) -> np.ndarray:
    parents = kintree[0].astype(np.int64)
    parents[0] = -1  # stored as 2^32 - 1, its unsigned spelling
    return parents


def _check_model(arrays: dict[str, np.ndarray], where: str) -> None:
    if arrays["parents"].tolist() != [-1, 0, 1, 1, 1]:
        raise RigError(f"The joints of {where} hang on {arrays['parents'].tolist()}, but FLAME's hang on [-1, 0, 1, 1, 1]; "
                       "check that it is the right file.")
    for key, axis in (("J_regressor", 1), ("weights", 1)):
        worst = float(np.abs(arrays[key].sum(axis) - 1).max())
        if worst > 1e-3:
            raise RigError(f"The rows of {key} of {where} do not sum to 1 (they are off by up to {worst:.3g}); "
                           "download the file again.")


def read_landmark_embedding(path: str | Path, original: bool = False) -> dict[str, np.ndarray]:
    """The landmark tables of ``landmark_embedding.npy``: triangles (int64) and barycentric coordinates (float64).

    static_faces (51,), static_bary (51, 3); dynamic_faces (79, 17), dynamic_bary (79, 17, 3), the contour by yaw;
    full_faces (68,), full_bary (68, 3). Errors as ``read_flame``.
    """
    file = Path(path) if original else newest(Path(path))
    wanted = dict(_EMBEDDING.values())
    if file.suffix == ".npz":
        found = read_checked_npz(file, wanted, "table of landmarks")
    else:
        found = picked(read_object_npy(file, "table of landmarks"), wanted, str(file))
    tables = {}
    for short, (key, _) in _EMBEDDING.items():
        array = found[key][0] if short.startswith("full") else found[key]
        if short.endswith("bary"):
            _check_bary(array, str(file), key)
        tables[short] = np.ascontiguousarray(array, np.float64 if short.endswith("bary") else np.int64)
    return tables


def _check_bary(array: np.ndarray, where: str, key: str) -> None:
    if float(np.abs(array.sum(-1) - 1).max()) > 1e-3:
        raise RigError(f"The barycentric coordinates {key} of {where} do not sum to 1; download the file again.")


def embedding_as_stored(tables: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """``read_landmark_embedding``'s tables under the names and shapes of DECA's file, for a plain copy of it."""
    return {key: tables[short].reshape([n or -1 for n in wanted.shape]) for short, (key, wanted) in _EMBEDDING.items()}


def read_mediapipe_embedding(path: str | Path) -> dict[str, np.ndarray]:
    """``mediapipe_landmark_embedding.npz``: lmk_face_idx (105,), lmk_b_coords (105, 3) float64, landmark_indices (105,)."""
    found = read_checked_npz(path, _MEDIAPIPE, "table of MediaPipe's landmarks")
    _check_bary(found["lmk_b_coords"], str(path), "lmk_b_coords")
    return {key: array.astype(np.float64 if key == "lmk_b_coords" else np.int64) for key, array in found.items()}


def read_template_uv(path: str | Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``(uv, uv_faces, faces)`` of head_template.obj: (5118, 2) float64 with v = 1 at the top, and twice (9976, 3) int64,
    counted from 0. Its vertices lie in another frame than FLAME's and are not read. Errors as ``read_flame``."""
    file = existing_file(path, "head template")
    try:
        lines = read_bytes(file, _MOST_BYTES).decode("ascii", "replace").splitlines()
        uv = np.array([line.split()[1:3] for line in lines if line.startswith("vt ")], np.float64)
        corners = [corner.split("/") for line in lines if line.startswith("f ") for corner in line.split()[1:]]
        indices = np.array([corner[:2] for corner in corners], np.int64) - 1
    except (ValueError, IndexError) as error:
        raise RigError(f"{file} is not the template with texture coordinates (its lines 'vt u v' or 'f v/vt v/vt v/vt' are "
                       "damaged); download it again.") from error
    wanted = Wanted((FACES, 3), "iu", VERTICES)
    if indices.shape != (FACES * 3, 2):
        raise wrong_shape(str(file), "the triangles", wanted, f"are {len(indices) // 3} with {len(indices)} corners")
    check_array(uv, Wanted((UVS, 2), "f"), str(file), "the texture coordinates")
    faces, uv_faces = indices[:, 0].reshape(-1, 3), indices[:, 1].reshape(-1, 3)
    check_array(faces, wanted, str(file), "the triangles")
    check_array(uv_faces, Wanted((FACES, 3), "iu", UVS), str(file), "the texture triangles")
    return uv, uv_faces.copy(), faces.copy()


def read_texture_data(path: str | Path, original: bool = False) -> dict[str, np.ndarray]:
    """``texture_data_256.npy``: the dense grid of texture points (index = x * 256 + y). x_coords, y_coords (65536,);
    valid_pixel_ids (n,); valid_pixel_3d_faces (n, 3) vertices; valid_pixel_b_coords (n, 3); f (m, 3) dense faces.
    Errors as ``read_flame``."""
    file = Path(path) if original else newest(Path(path))
    if file.suffix == ".npz":
        found = read_checked_npz(file, _TEXTURE_DATA, "table of texture points")
    else:
        found = picked(read_object_npy(file, "table of texture points"), _TEXTURE_DATA, str(file))
    lengths = {len(found[key]) for key in ("valid_pixel_ids", "valid_pixel_3d_faces", "valid_pixel_b_coords")}
    if len(lengths) > 1:
        raise RigError(f"The tables of valid pixels of {file} differ in length ({sorted(lengths)}); download it again.")
    return {key: array.astype(np.int64 if array.dtype.kind in "iu" else np.float64) for key, array in found.items()}


def read_eyelid(path: str | Path) -> np.ndarray:
    """``l_eyelid.npy`` or ``r_eyelid.npy``: vertex offsets (5023, 3) float64, metres. Errors as ``read_flame``."""
    return read_checked_npy(path, Wanted((VERTICES, 3), "f"), "file of eyelid offsets").astype(np.float64)


def read_fixed_displacement(path: str | Path) -> np.ndarray:
    """``fixed_displacement_256.npy``: (256, 256) float64, metres along the normal. Errors as ``read_flame``."""
    return read_checked_npy(path, Wanted((256, 256), "f"), "fixed displacement").astype(np.float64)
