"""Face codes -> physical buffers: the renderer of DECA (Feng et al. 2021) as DiffusionRig (Ding et al. 2023) uses it."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from diffusionrig.errors import RigError, UsageError
from diffusionrig.geometry.alignment import ffhq_centre
from diffusionrig.geometry.camera import image_points
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.mesh import vertex_normals
from diffusionrig.render.buffers import PhysicalBuffers
from diffusionrig.render.interpolation import interpolate
from diffusionrig.render.rasterizer import Fragments, rasterize
from diffusionrig.render.shading import shade
from diffusionrig.render.texture import sample_texture, texture_plane

RASTERIZERS = ("torch", "pytorch3d")

DEPTH_OFFSET = 10.0
"""Added to z before rasterising, so that all of a head lies in front of the camera. It also sets the resolution of
float32 depth, about 1e-6, at which eyeballs and lids compete; networks were trained on the outcome."""

Size = int | tuple[int, int]


def render_buffers(head: HeadModel, code: FaceCode, size: Size, centre: Tensor | None = None,
                   rasterizer: str = "torch") -> PhysicalBuffers:
    """Render the B faces of ``code`` with ``head`` into images of ``size`` (a side, or height and width).

    The images show the whole frame the code was captured from, whatever its size in pixels. ``centre`` (B, 3), the
    ``ffhq_centre`` of the *unedited* code in metres, moves each head so that its own centre lies there. Differentiable
    in every tensor of ``code``. RigError when the code belongs to another head model; UsageError on an unknown
    ``rasterizer``.
    """
    vertices, points = placed_vertices(head, code, centre)
    return render_mesh(vertices, points, head, head.texture(code.albedo), code.light, size, rasterizer)


def placed_vertices(head: HeadModel, code: FaceCode, centre: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Vertices of ``code`` in metres and in the image plane of its frame, both (B, V, 3)."""
    if code.head != head.name:
        raise RigError(f"A face code of the head model {code.head!r} cannot be rendered with {head.name!r}; "
                       f"load {code.head!r}, or capture the face again.")
    vertices = head.vertices(code)
    if centre is not None:
        own = ffhq_centre(head.landmarks(vertices, code))
        vertices = vertices + (centre - own)[:, None]
    return vertices, image_points(vertices, code)


def render_mesh(vertices: Tensor, points: Tensor, head: HeadModel, texture: Tensor, light: Tensor, size: Size,
                rasterizer: str = "torch") -> PhysicalBuffers:
    """Render vertices (B, V, 3) in metres, seen at ``points`` (B, V, 3) of the image plane.

    ``texture`` (B, 3, h, w) is laid over the head by its texture coordinates, ``light`` is (B, 9, 3).
    """
    return paint(rasterize_points(points, head.faces, size, rasterizer), vertex_normals(vertices, head.faces), head, texture, light)


def paint(fragments: Fragments, normals: Tensor, head: HeadModel, texture: Tensor, light: Tensor) -> PhysicalBuffers:
    """Physical buffers of what ``fragments`` show, with vertex ``normals`` (B, V, 3); ``texture`` and ``light`` as in
    ``render_mesh``."""
    alpha = (fragments.face >= 0).to(normals.dtype)[:, None]
    normal = interpolate(fragments, head.faces, normals)
    grid = interpolate(fragments, head.uv_faces, texture_plane(head.uv.to(normals.dtype)))
    albedo = sample_texture(texture, grid) * alpha
    return PhysicalBuffers(rendered=shade(normal, light) * albedo, normal=normal, albedo=albedo, alpha=alpha)


def rasterize_points(points: Tensor, faces: Tensor, size: Size, rasterizer: str = "torch") -> Fragments:
    """Rasterise points (B, V, 3) of the image plane, moved away from the viewer by DEPTH_OFFSET."""
    height, width = (size, size) if isinstance(size, int) else size
    offset = points.new_tensor([0.0, 0.0, DEPTH_OFFSET])
    return find_rasterizer(rasterizer)(points + offset, faces, height, width)


def find_rasterizer(name: str) -> Callable[[Tensor, Tensor, int, int], Fragments]:
    """The function behind a ``--rasterizer`` value."""
    if name == "torch":
        return rasterize
    if name == "pytorch3d":
        from diffusionrig.render.pytorch3d_backend import rasterize_pytorch3d
        return rasterize_pytorch3d
    raise UsageError(f"There is no rasterizer {name!r}; choose from {', '.join(RASTERIZERS)}.")
