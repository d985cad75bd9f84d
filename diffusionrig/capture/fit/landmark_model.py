"""The head as its landmarks see it: before skinning every point is linear in identity, expression and gaze."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.mesh import vertex_normals

JAW_SECANT = 0.2
"""Radians at which a jaw rotation is linearised: about half of a wide open mouth."""

GAZE_SECANT = 0.1
"""Radians at which an eye rotation is linearised."""

GAZE_LIMIT = 0.7
"""Radians an eye may turn from straight ahead."""

EYE_COLUMNS = (0, 1, 3, 4)
"""Columns of ``FaceCode.eyes`` that are fitted: pitch and yaw of either eye; a spin about the optical axis is invisible."""


@dataclasses.dataclass(frozen=True)
class LandmarkModel:
    """N landmarks of a head as functions of C coefficients: points = mean + coefficients @ basis, then rotate and project.

    mean         (N, 3)     landmarks of the neutral mean head, metres, head frame
    basis        (C, N, 3)  displacement per unit coefficient
    normals      (N, 3)     unit outward normals of the neutral mean head
    reliability  (N,)       0..1, how well each landmark is tied to one place of the surface
    lower, upper (C,)       bounds of the coefficients (infinite where there are none)
    centre       (3,)       point that rotations are taken about; it only splits motion between rotation and shift
    parts                   "shape", "expression", "jaw" (empty slice when an action opens the mouth) and "eyes"
    """

    mean: Tensor
    basis: Tensor
    normals: Tensor
    reliability: Tensor
    lower: Tensor
    upper: Tensor
    centre: Tensor
    parts: dict[str, slice]

    def points(self, coefficients: Tensor) -> Tensor:
        """(B, C) -> (B, N, 3) landmarks before rotation, metres."""
        return self.mean + torch.einsum("bc,cnk->bnk", coefficients, self.basis)

    def to(self, device: torch.device | str, dtype: torch.dtype) -> LandmarkModel:
        """The same model elsewhere."""
        moved = {field.name: getattr(self, field.name).to(device=device, dtype=dtype)
                 for field in dataclasses.fields(self) if field.name != "parts"}
        return dataclasses.replace(self, **moved)


def neutral_code(head: HeadModel, batch: int, like: Tensor) -> FaceCode:
    """``batch`` mean heads without expression, upright, filling the crop, under a plain ambient light."""
    light = like.new_zeros(batch, 9, 3)
    light[:, 0] = 3.0
    camera = like.new_zeros(batch, 3)
    camera[:, 0] = 7.0
    return FaceCode(shape=like.new_zeros(batch, head.n_shape), albedo=like.new_zeros(batch, head.n_albedo),
                    expression=like.new_zeros(batch, head.n_expression), pose=like.new_zeros(batch, 6),
                    camera=camera, light=light, head=head.name)


def has_bounded_expression(head: HeadModel) -> bool:
    """Whether the expression axes are named actions with weights 0..1 (the open head) rather than a Gaussian basis."""
    return "jawOpen" in head.expression_names


def surface_points(vertices: Tensor, faces: Tensor, face: Tensor, barycentric: Tensor) -> Tensor:
    """Points (B, N, 3) at triangles ``face`` (N,) and weights ``barycentric`` (N, 3) of the mesh (B, V, 3), (F, 3)."""
    return torch.einsum("bnck,nc->bnk", vertices[:, faces[face]], barycentric.to(vertices.dtype))


def build_landmark_model(head: HeadModel, face: Tensor, barycentric: Tensor, reliability: Tensor,
                         n_shape: int) -> LandmarkModel:
    """Evaluate the head once per coefficient, so that fitting never needs the mesh again.

    ``face`` (N,), ``barycentric`` (N, 3) and ``reliability`` (N,) are the landmark tie. The first ``n_shape`` identity
    coefficients are kept. Exact for heads that are linear before skinning; jaw and eye rotations enter by secants.
    """
    like = torch.zeros((), dtype=torch.float32, device=head.faces.device)
    n_shape = min(n_shape, head.n_shape)
    bounded = has_bounded_expression(head)
    n_jaw = 0 if bounded else 3
    counts = {"shape": n_shape, "expression": head.n_expression, "jaw": n_jaw, "eyes": len(EYE_COLUMNS)}
    parts, start = {}, 0
    for name, count in counts.items():
        parts[name] = slice(start, start + count)
        start += count

    code = neutral_code(head, start + 1, like)
    step = torch.ones(start, dtype=like.dtype, device=like.device)
    rows = {name: torch.arange(part.start, part.stop, device=like.device) for name, part in parts.items()}
    code.shape[rows["shape"], rows["shape"]] = 1
    code.expression[rows["expression"], rows["expression"] - parts["expression"].start] = 1
    code.pose[rows["jaw"], 3 + rows["jaw"] - parts["jaw"].start] = step[parts["jaw"]] = JAW_SECANT
    code.eyes[rows["eyes"], torch.tensor(EYE_COLUMNS, device=like.device)] = step[parts["eyes"]] = GAZE_SECANT
    vertices = torch.cat([head.vertices(code[i:i + 32]) for i in range(0, start + 1, 32)])

    points = surface_points(vertices, head.faces, face, barycentric)
    normals = surface_points(vertex_normals(vertices[-1:], head.faces), head.faces, face, barycentric)[0]
    infinite = torch.full((start,), float("inf"), dtype=like.dtype, device=like.device)
    lower, upper = -infinite, infinite.clone()
    lower[parts["eyes"]], upper[parts["eyes"]] = -GAZE_LIMIT, GAZE_LIMIT
    if bounded:
        lower[parts["expression"]], upper[parts["expression"]] = 0.0, 1.0
    return LandmarkModel(mean=points[-1], basis=(points[:-1] - points[-1]) / step[:, None, None],
                         normals=torch.nn.functional.normalize(normals, dim=-1), reliability=reliability.to(like),
                         lower=lower, upper=upper, centre=points[-1].mean(0), parts=parts)
