"""Heads posed in their pictures: meshes, what is seen of them at each pixel, and the buffers of that."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.mesh import vertex_normals
from diffusionrig.render.buffers import PhysicalBuffers
from diffusionrig.render.interpolation import interpolate
from diffusionrig.render.physical import paint, placed_vertices, rasterize_points
from diffusionrig.render.rasterizer import Fragments
from diffusionrig.render.shadows import light_reaching


@dataclasses.dataclass
class Posed:
    """B heads in pictures of S pixels.

    code       what they are posed by
    points     (B, V, 3) vertices in the image plane
    normals    (B, V, 3) of the vertices, in the frame of the head model
    fragments  what is seen at each pixel
    depth      (B, 1, S, S) image plane's z of the surface, infinite beyond the head
    reaching   (B, 2, s, s) share in 0..1 of the light that the head's own shadows leave, and how sure it is (see ``shadows``)
    buffers    physical buffers of ``code``
    """

    code: FaceCode
    points: Tensor
    normals: Tensor
    fragments: Fragments
    depth: Tensor
    reaching: Tensor
    buffers: PhysicalBuffers

    def __len__(self) -> int:
        return len(self.code)

    @property
    def size(self) -> int:
        return self.depth.shape[-1]

    def rows(self, rows: Sequence[int]) -> Posed:
        """Some of the heads, repeated where a row is named twice."""
        index = torch.as_tensor(rows, device=self.points.device)
        fragments = Fragments(self.fragments.face[index], self.fragments.barycentric[index], self.fragments.depth[index])
        buffers = PhysicalBuffers(*(getattr(self.buffers, field.name)[index] for field in dataclasses.fields(PhysicalBuffers)))
        return Posed(self.code[index], self.points[index], self.normals[index], fragments, self.depth[index],
                     self.reaching[index], buffers)

    @staticmethod
    def concatenate(parts: Sequence[Posed]) -> Posed:
        """Heads of one model in pictures of one size, joined along the batch."""
        fragments = Fragments(*(torch.cat([getattr(part.fragments, name) for part in parts])
                                for name in ("face", "barycentric", "depth")))
        points, normals, depth, reaching = (torch.cat([getattr(part, name) for part in parts])
                                            for name in ("points", "normals", "depth", "reaching"))
        return Posed(FaceCode.concatenate([part.code for part in parts]), points, normals, fragments, depth, reaching,
                     PhysicalBuffers.concatenate([part.buffers for part in parts]))


def pose_heads(head: HeadModel, code: FaceCode, size: int, centre: Tensor | None = None, rasterizer: str = "torch") -> Posed:
    """Pose the heads of ``code`` in pictures of ``size`` pixels; ``centre`` and ``rasterizer`` as in ``render_buffers``."""
    vertices, points = placed_vertices(head, code, centre)
    normals = vertex_normals(vertices, head.faces)
    fragments = rasterize_points(points, head.faces, size, rasterizer)
    # Not the fragments' own depth: the weights of tiny triangles do not sum to one, which the renderer's offset makes much of.
    depth = interpolate(fragments, head.faces, points[..., 2:])
    buffers = paint(fragments, normals, head, head.texture(code.albedo), code.light)
    covered, scale = buffers.alpha > 0, code.camera[:, 0]
    # The image plane's z falls towards the viewer.
    reaching = light_reaching(-depth / scale[:, None, None, None], covered, scale * size / 2, code.light)
    return Posed(code, points, normals, fragments, torch.where(covered, depth, torch.inf), reaching, buffers)
