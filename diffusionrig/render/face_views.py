"""A captured face in its own crop: bare shape, and the textured head laid over the photograph, coarse and detailed.

The pictures of EMOCA (Danecek et al. 2022), whose renderer is DECA's (Feng et al. 2021).
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor
from torch.nn.functional import normalize

from diffusionrig.geometry.face_code import CROP_SIZE, FaceCode, whole_frame_crop
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.mesh import vertex_normals
from diffusionrig.render.interpolation import interpolate
from diffusionrig.render.physical import placed_vertices, rasterize_points
from diffusionrig.render.rasterizer import Fragments, rasterize
from diffusionrig.render.shading import shade
from diffusionrig.render.texture import sample_texture, texture_plane

_GREY = 180 / 255
_LIGHTS = ((-1.0, 1.0, 1.0), (1.0, 1.0, 1.0), (-1.0, -1.0, 1.0), (1.0, -1.0, 1.0), (0.0, 0.0, 1.0))
_INTENSITY = 1.7

PLAIN_ALBEDO = 0.5
"""Grey that stands for the skin where a release comes without its texture space."""


@dataclasses.dataclass(frozen=True)
class FaceViews:
    """Pictures of B crops, (B, 3, S, S) each, not clamped.

    shape            grey head under five lights on black, every covered pixel shown
    shape_detail     the same shaded with the detail normals; None without detail
    overlay          the lit head over the photograph where ``face`` is 1
    overlay_detail   the same, lit with the detail normals in texture space; None without detail
    face             (B, 1, S, S) 0..1, the part of the head that is face or eyes and is seen
    texture          (B, 3, 256, 256) the photograph's colours in texture space, where it is hidden too
    """

    shape: Tensor
    overlay: Tensor
    face: Tensor
    texture: Tensor
    shape_detail: Tensor | None = None
    overlay_detail: Tensor | None = None


def crop_code(code: FaceCode) -> FaceCode:
    """The same faces seen in their own crops instead of the photographs."""
    frame = torch.full_like(code.frame, float(CROP_SIZE))
    return code.replace(frame=frame, crop=whole_frame_crop(frame))


def five_lights(normals: Tensor) -> Tensor:
    """Grey (B, 3, H, W) of normals (B, 3, H, W) under the five lights of DECA's shape preview, not clamped."""
    directions = normalize(normals.new_tensor(_LIGHTS), dim=1)
    shading = torch.stack([(normals * direction[:, None, None]).sum(1).clamp(0, 1) * _INTENSITY for direction in directions])
    return (_GREY * shading.mean(0))[:, None].expand(-1, 3, -1, -1)


def texture_fragments(head: HeadModel, size: int) -> Fragments:
    """The faces of the head in texture space, one (size, size) image: which face is at each texel, and where in it."""
    plane = texture_plane(head.uv)
    return rasterize(torch.cat([plane, torch.ones_like(plane[:, :1])], 1)[None], head.uv_faces, size, size)


def in_texture_space(fragments: Fragments, head: HeadModel, values: Tensor) -> Tensor:
    """Values of vertices (B, V, C) -> texture space (B, C, size, size), 0 between the islands; ``texture_fragments``' faces."""
    return torch.cat([interpolate(fragments, head.faces, one[None]) for one in values])


def render_views(head: HeadModel, code: FaceCode, crops: Tensor, albedo: Tensor, face_mask: Tensor,
                 texels: Fragments, detail_normals: Tensor | None = None, background: str = "input") -> FaceViews:
    """Draw the faces of ``code`` over their ``crops`` (B, 3, 224, 224, RGB in 0..1).

    albedo          (B or 1, 3, h, w) texture; a constant PLAIN_ALBEDO for a release without texture space
    face_mask       (1, 1, h, w) 0..1 in texture space: face and eyes
    detail_normals  (B, 3, h, w) in texture space, or None
    background      what overlays show outside the face: ``input`` photograph, ``black``, or ``none`` for the whole head
    """
    seen = crop_code(code)
    size = crops.shape[-1]
    vertices, points = placed_vertices(head, seen)
    fragments = rasterize_points(points, head.faces, size)
    alpha = (fragments.face >= 0).to(crops.dtype)[:, None]
    normals = interpolate(fragments, head.faces, vertex_normals(vertices, head.faces))
    grid = interpolate(fragments, head.uv_faces, texture_plane(head.uv.to(crops.dtype)))
    albedo = albedo.expand(len(crops), -1, -1, -1)
    face = sample_texture(face_mask.expand(len(crops), -1, -1, -1), grid) * alpha
    lit = sample_texture(albedo, grid) * shade(normals, code.light) * alpha
    views = FaceViews(five_lights(normals) * alpha, _over(lit, crops, face, background), face,
                      sample_texture(crops, in_texture_space(texels, head, points)[:, :2]))
    if detail_normals is None:
        return views
    fine = sample_texture(albedo * shade(detail_normals, code.light), grid)
    return dataclasses.replace(views, shape_detail=five_lights(sample_texture(detail_normals, grid)) * alpha,
                               overlay_detail=_over(fine, crops, face, background))


def _over(picture: Tensor, crops: Tensor, face: Tensor, background: str) -> Tensor:
    if background == "none":
        return picture
    return picture * face if background == "black" else (1 - face) * crops + face * picture
