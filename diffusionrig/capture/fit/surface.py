"""The skin of a head as samples: places on the face that the photometric stage follows through the image."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from diffusionrig.capture.fit.landmark_model import LandmarkModel, neutral_code, surface_points
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.mesh import vertex_normals
from diffusionrig.render.texture import texture_plane

SAMPLES = 1400
SECANT = 0.1
"""Coefficient at which normals are differenced: they bend, and near the mean head the slope is wanted."""

FINE_REGIONS, FINE_DENSITY = ("brows", "eyelids", "lips"), 4.0
NOT_SKIN = ("inner_mouth", "eyes", "ears", "teeth", "tongue")


@dataclasses.dataclass(frozen=True)
class Surface:
    """K samples of the face.

    face (K,), barycentric (K, 3)     where they are
    points (C, K, 3)                  displacement per unit coefficient of the landmark model, metres
    normals (C, K, 3)                 change of the unit normal per unit coefficient, at the neutral mean head
    albedo (K, 3), albedo_basis (A, K, 3)
    """

    face: Tensor
    barycentric: Tensor
    points: Tensor
    normals: Tensor
    albedo: Tensor
    albedo_basis: Tensor


def build_surface(head: HeadModel, model: LandmarkModel, face: Tensor, barycentric: Tensor) -> Surface:
    """Evaluate the head at the places ``face`` (K,), ``barycentric`` (K, 3) once per coefficient of ``model``."""
    parts, count = model.parts, model.parts["eyes"].start
    code = neutral_code(head, count + 1, torch.zeros((), device=head.faces.device))
    rows = torch.arange(count, device=head.faces.device)
    code.shape[rows[parts["shape"]], rows[parts["shape"]]] = SECANT
    code.expression[rows[parts["expression"]], rows[parts["expression"]] - parts["expression"].start] = SECANT
    code.pose[rows[parts["jaw"]], 3 + rows[parts["jaw"]] - parts["jaw"].start] = SECANT
    points, normals = (torch.cat(values) for values in zip(
        *(samples_of(head, code[i:i + 32], face, barycentric) for i in range(0, count + 1, 32))))

    uv = surface_points(head.uv[None], head.uv_faces, face, barycentric)
    zero = torch.zeros(1, head.n_albedo, device=head.faces.device)
    mean = head.texture(zero)
    basis = head.texture(torch.eye(head.n_albedo, device=head.faces.device)) - mean
    grid = texture_plane(uv)[:, :, None].expand(1 + head.n_albedo, -1, -1, -1)
    looked = grid_sample(torch.cat([mean, basis]), grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    colours = looked[..., 0].transpose(1, 2)
    return Surface(face, barycentric, (points[:-1] - points[-1]) / SECANT, (normals[:-1] - normals[-1]) / SECANT, colours[0],
                   colours[1:])


def samples_of(head: HeadModel, code: FaceCode, face: Tensor, barycentric: Tensor) -> tuple[Tensor, Tensor]:
    """Places (B, K, 3) in metres and interpolated normals (B, K, 3) of the samples under ``code``."""
    vertices = head.vertices(code)
    normals = vertex_normals(vertices, head.faces)
    return tuple(surface_points(values, head.faces, face, barycentric) for values in (vertices, normals))  # type: ignore[return-value]


def choose_places(head: HeadModel) -> tuple[Tensor, Tensor]:
    """SAMPLES places (K,), (K, 3) on facial skin, evenly by area, denser where features are small; no randomness."""
    vertices = head.vertices(neutral_code(head, 1, torch.zeros((), device=head.faces.device)))[0]
    none = torch.zeros(len(vertices), device=vertices.device)
    corners = vertices[head.faces]
    area = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0], dim=-1).norm(dim=-1)
    share = lambda names: sum((head.regions.get(name, none) for name in names), none)[head.faces].mean(1)  # noqa: E731
    skin = share(("face",)) if "face" in head.regions else torch.ones_like(area)
    weight = area * (skin > 0.5) * (share(NOT_SKIN) < 0.3) * (1 + (FINE_DENSITY - 1) * (share(FINE_REGIONS) > 0.2))
    total = weight.double().cumsum(0)
    steps = (torch.arange(SAMPLES, device=vertices.device) + 0.5) / SAMPLES * total[-1]
    face = torch.searchsorted(total, steps).clamp_max(len(weight) - 1)
    # A low-discrepancy pair per sample, folded into the triangle.
    index = torch.arange(SAMPLES, device=vertices.device)
    u, v = (index * 0.7548776662) % 1, (index * 0.5698402910) % 1
    fold = u + v > 1
    u, v = torch.where(fold, 1 - u, u), torch.where(fold, 1 - v, v)
    return face, torch.stack([1 - u - v, u, v], 1).to(vertices.dtype)
