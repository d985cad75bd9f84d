"""FLAME (Li et al. 2017) as DECA (Feng et al. 2021) drives it: 100 identity, 50 expression and 50 albedo coefficients."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from diffusionrig.errors import RigError
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.flame_landmarks import CONTOUR, MOST_YAW, contour_row, points_on
from diffusionrig.geometry.flame_texture import albedo_space, grey_space
from diffusionrig.geometry.hashing import arrays_hash
from diffusionrig.geometry.linear_head import LinearHead
from diffusionrig.geometry.rotations import flame_rotation

JOINTS = ("root", "neck", "jaw", "eyeLeft", "eyeRight")
PARENTS = (-1, 0, 1, 1, 1)
FIRST_EXPRESSION = 300
"""Columns of ``shapedirs`` before it are identity, those from it on expression."""


class Flame(LinearHead):
    """HeadModel of FLAME. See geometry/head.py for the attributes.

    Frame: metres, +x the subject's left, y up, z out of the face; coefficients in standard deviations. The neck joint is
    never turned, as in DECA; eyes turn by ``code.eyes``, which DECA's codes leave at zero. ``regions`` has "eyes" (the
    eyeballs, by their skinning) and whatever masks were given.
    """

    parents = PARENTS
    rotate = staticmethod(flame_rotation)

    faces: Tensor
    uv: Tensor
    uv_faces: Tensor
    static_faces: Tensor
    static_bary: Tensor
    dynamic_faces: Tensor
    dynamic_bary: Tensor
    full_faces: Tensor
    full_bary: Tensor

    def __init__(self, model: Mapping[str, np.ndarray], embedding: Mapping[str, np.ndarray], uv: np.ndarray,
                 uv_faces: np.ndarray, texture: Mapping[str, np.ndarray] | None = None, *, name: str,
                 masks: Mapping[str, np.ndarray] | None = None, n_shape: int = 100, n_expression: int = 50,
                 n_albedo: int = 50, dtype: torch.dtype = torch.float32) -> None:
        """Build from plain arrays, as ``io/flame_files.py`` returns them.

        model      v_template (V, 3), faces (F, 3), shapedirs (V, 3, 400), posedirs (V, 3, 36), J_regressor (5, V),
                   parents (5,), weights (V, 5)
        embedding  static_faces (51,), static_bary (51, 3), dynamic_faces (79, 17), dynamic_bary (79, 17, 3),
                   full_faces (68,), full_bary (68, 3)
        uv, uv_faces  (T, 2) with v = 1 at the top, (F, 3) in the order of ``faces``
        texture    either albedo space (see geometry/flame_texture.py); without one the head is mid grey
        masks      grey images (H, W) in 0..1 over the UV square, row 0 at v = 1, by the name of their region

        RigError when an array is missing or misshapen.
        """
        super().__init__()
        self.name, self.n_shape, self.n_expression, self.n_albedo = name, n_shape, n_expression, n_albedo
        self.expression_names = tuple(f"exp{index:03d}" for index in range(n_expression))
        try:
            self._read(model, embedding, uv, uv_faces, dtype)
            mean, basis = grey_space(n_albedo) if texture is None else albedo_space(texture, n_albedo)
            self._keep("albedo_mean", mean, dtype)
            self._keep("albedo_basis", basis, dtype)
            self._read_masks(masks or {}, dtype)
        except (KeyError, ValueError, IndexError) as error:
            what = f"it lacks {error}" if isinstance(error, KeyError) else error
            raise RigError(f"The files of the head model {name} do not go together ({what}); "
                           "get them again from where you registered.") from error
        # What a mask calls face changes no picture, so it is no part of the edition.
        self.hash = arrays_hash({key: array.to(torch.float32 if array.is_floating_point() else array.dtype).numpy()
                                 for key, array in self.named_buffers() if key != "region_masks"})

    def _keep(self, name: str, array: np.ndarray, dtype: torch.dtype) -> None:
        self.register_buffer(name, torch.tensor(np.ascontiguousarray(array), dtype=dtype), persistent=False)

    def _read(self, model: Mapping[str, np.ndarray], embedding: Mapping[str, np.ndarray], uv: np.ndarray,
              uv_faces: np.ndarray, dtype: torch.dtype) -> None:
        template, directions = (np.asarray(model[name], np.float64) for name in ("v_template", "shapedirs"))
        count = len(template)
        needed = FIRST_EXPRESSION + self.n_expression
        if directions.shape[:2] != (count, 3) or directions.shape[2] < needed:
            raise ValueError(f"shapedirs has the shape {directions.shape}, where ({count}, 3, {needed} or more) is needed")
        for name, shape in (("posedirs", (count, 3, 36)), ("J_regressor", (5, count)), ("weights", (count, 5))):
            if np.shape(model[name]) != shape:
                raise ValueError(f"{name} has the shape {np.shape(model[name])}, where {shape} is needed")
        if tuple(int(parent) for parent in model["parents"]) != PARENTS:
            raise ValueError(f"its joints hang on {list(model['parents'])}, where {list(PARENTS)} is needed")
        if np.shape(uv_faces) != np.shape(model["faces"]):
            raise ValueError(f"the head has {len(model['faces'])} triangles, its texture coordinates {len(uv_faces)}")
        if int(np.max(model["faces"])) >= count or int(np.max(uv_faces)) >= len(uv):
            raise ValueError("its triangles refer to vertices that are not there")
        columns = [*range(self.n_shape), *range(FIRST_EXPRESSION, needed)]
        regressor = np.asarray(model["J_regressor"], np.float64)
        # One row per coefficient, so that a whole batch is one matrix product.
        rows = directions[..., columns].transpose(2, 0, 1)
        self._keep("v_template", template, dtype)
        self._keep("basis", rows.reshape(len(columns), -1), dtype)
        self._keep("joints_template", regressor @ template, dtype)
        self._keep("joint_basis", (regressor @ rows).reshape(len(columns), -1), dtype)
        self._keep("correctives", np.asarray(model["posedirs"]).reshape(count * 3, -1).T, dtype)
        self._keep("weights", model["weights"], dtype)
        self._keep("uv", uv, dtype)
        self._keep("faces", model["faces"], torch.int64)
        self._keep("uv_faces", uv_faces, torch.int64)
        for name, points in (("static", (51,)), ("dynamic", (1 + 2 * MOST_YAW, CONTOUR)), ("full", (68,))):
            faces, bary = embedding[f"{name}_faces"], embedding[f"{name}_bary"]
            if np.shape(faces) != points or np.shape(bary) != (*points, 3):
                raise ValueError(f"the {name} landmarks have the shapes {np.shape(faces)} and {np.shape(bary)}, "
                                 f"where {points} and {(*points, 3)} are needed")
            if int(np.max(faces)) >= len(model["faces"]):
                raise ValueError(f"the {name} landmarks lie on triangles that are not there")
            self._keep(f"{name}_faces", faces, torch.int64)
            self._keep(f"{name}_bary", bary, dtype)

    def _read_masks(self, masks: Mapping[str, np.ndarray], dtype: torch.dtype) -> None:
        values = {"eyes": self.weights[:, 3:].sum(1).numpy()}
        values |= {name: self._at_vertices(np.asarray(mask, np.float64)) for name, mask in masks.items()}
        self.region_names = tuple(values)
        self._keep("region_masks", np.stack(list(values.values())), dtype)

    def _at_vertices(self, mask: np.ndarray) -> np.ndarray:
        """The pixel of a UV mask under each vertex; a vertex on a seam takes the larger of its two."""
        height, width = mask.shape
        u, v = self.uv.numpy().T
        row = np.clip(((1 - v) * height).astype(int), 0, height - 1)
        column = np.clip((u * width).astype(int), 0, width - 1)
        found = np.zeros(len(self.v_template))
        np.maximum.at(found, self.faces.numpy().reshape(-1), mask[row, column][self.uv_faces.numpy().reshape(-1)])
        return found

    def landmarks(self, vertices: Tensor, code: FaceCode) -> Tensor:
        """(B, 68, 3) iBUG-68 points of posed ``vertices``; the 17 of the contour follow the yaw of ``code.pose``.

        DECA's ``landmarks2d`` before projection.
        """
        row = contour_row(flame_rotation(code.pose[:, :3].detach()))
        face = torch.cat([self.dynamic_faces[row], self.static_faces.expand(len(row), -1)], 1)
        bary = torch.cat([self.dynamic_bary[row], self.static_bary.expand(len(row), -1, -1)], 1)
        return points_on(vertices, self.faces, face, bary)

    def full_landmarks(self, vertices: Tensor) -> Tensor:
        """(B, 68, 3) points whose contour stays where it is on the surface: DECA's ``landmarks3d``."""
        return points_on(vertices, self.faces, self.full_faces, self.full_bary)
