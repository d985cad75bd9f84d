"""The open head: 100 identity components, the 52 ARKit actions, jaw, neck and eye joints, a small albedo model.

Made by ``scripts/bake_head.py`` from CC0 MakeHuman data; docs/open-head.md tells how and how exact it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from diffusionrig.errors import RigError
from diffusionrig.geometry.arkit import ARKIT_NAMES
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.flame_landmarks import CONTOUR, contour_row, points_on
from diffusionrig.geometry.hashing import arrays_hash
from diffusionrig.geometry.linear_head import TEXTURE_SIZE, LinearHead
from diffusionrig.geometry.rotations import axis_angle_to_matrix

NAME = "open-head-1"
JOINTS = ("root", "neck", "jaw", "eyeLeft", "eyeRight")


class OpenHead(LinearHead):
    """HeadModel of the open head. See geometry/head.py for the attributes.

    Frame: metres, +x the subject's left, y up, z out of the face, origin between the eye joints of the mean head.
    Expression weights act linearly and are not clamped: beyond 1 they exaggerate. The mouth opens in two ways that add up:
    by the action ``jawOpen`` (chin, lips and tongue follow a sculpted shape) and by the jaw joint, ``pose[3:6]`` (rigid,
    positive x opens). The actions ``eyeLook*`` move the lids and tilt the front of the eyeball by up to about ten degrees;
    real gaze is ``code.eyes``, a rotation of each eyeball about its centre.
    """

    faces: Tensor
    uv: Tensor
    uv_faces: Tensor
    lmk_face: Tensor
    lmk_bary: Tensor
    contour_face: Tensor
    contour_bary: Tensor

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        """``arrays`` as in assets/open_head.npz; RigError when one is missing or misshapen."""
        super().__init__()
        self.name = NAME
        self.hash = arrays_hash(arrays)
        try:
            self._read(arrays)
        except (KeyError, ValueError, RuntimeError) as error:
            raise RigError(f"The file of the head model {NAME} is incomplete or damaged ({error}); "
                           "install diffusionrig again.") from error

    def _read(self, arrays: Mapping[str, np.ndarray]) -> None:
        def keep(name: str, array: np.ndarray, dtype: torch.dtype = torch.float32) -> None:
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(array)).to(dtype), persistent=False)

        self.expression_names = tuple(str(name) for name in arrays["exp_names"])
        if self.expression_names != ARKIT_NAMES:
            raise ValueError("its expressions are not the 52 of ARKit")
        self.parents = tuple(int(parent) for parent in arrays["parents"])
        self.register_buffer("correctives", None)
        self.n_shape, self.n_expression = len(arrays["id_basis"]), len(arrays["exp_basis"])
        self.n_albedo = len(arrays["albedo_names"])
        self.albedo_names = tuple(str(name) for name in arrays["albedo_names"])
        self.meta = json.loads(arrays["meta"].item())
        count = len(arrays["v_template"])
        keep("v_template", arrays["v_template"])
        for name, source in (("faces", "faces"), ("uv_faces", "ft"), ("lmk_face", "lmk_face"),
                             ("contour_face", "contour_face")):
            keep(name, arrays[source].astype(np.int64), torch.int64)
        for name, source in (("uv", "vt"), ("lmk_bary", "lmk_bary"), ("contour_bary", "contour_bary"),
                             ("weights", "lbs_weights"), ("joints_template", "joints_template")):
            keep(name, arrays[source].astype(np.float32))
        self.weights /= self.weights.sum(1, keepdim=True)
        # One row per coefficient, identity then expression, so that a whole batch is one matrix product.
        keep("basis", np.concatenate([arrays["id_basis"], arrays["exp_basis"]]).reshape(-1, count * 3))
        keep("joint_basis", np.concatenate([arrays["joints_id"], arrays["joints_exp"]]).reshape(-1, len(JOINTS) * 3))
        keep("albedo_mean", arrays["albedo_mean"].astype(np.float32).transpose(2, 0, 1).reshape(-1) / 255)
        keep("albedo_basis", _albedo_basis(arrays))
        self.region_names = tuple(str(name) for name in arrays["region_names"])
        keep("region_masks", arrays["region_masks"].astype(np.float32) / 255)

    def landmarks(self, vertices: Tensor, code: FaceCode) -> Tensor:
        """(B, 68, 3) iBUG-68 points on posed ``vertices``; the 17 of the contour follow the yaw of ``code.pose``."""
        row = contour_row(axis_angle_to_matrix(code.pose[:, :3].detach()))
        face = torch.cat([self.contour_face[row], self.lmk_face[CONTOUR:].expand(len(row), -1)], 1)
        bary = torch.cat([self.contour_bary[row], self.lmk_bary[CONTOUR:].expand(len(row), -1, -1)], 1)
        return points_on(vertices, self.faces, face, bary)


def _albedo_basis(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """(n_albedo, 3 * 256 * 256): each component is a sum of masks (int8 / 127) times an RGB direction."""
    basis = np.zeros((len(arrays["albedo_names"]), 3, TEXTURE_SIZE, TEXTURE_SIZE), np.float32)
    for owner, mask, direction in zip(arrays["albedo_owner"], arrays["albedo_masks"], arrays["albedo_directions"]):
        basis[owner] += direction[:, None, None] * (mask.astype(np.float32) / 127)
    return basis.reshape(len(basis), -1)
