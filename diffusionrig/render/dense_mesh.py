"""The head at the resolution of its texture: one vertex per texel, moved along the normal by a displacement map."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor
from torch.nn.functional import normalize

from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.mesh import vertex_normals
from diffusionrig.render.face_views import in_texture_space
from diffusionrig.render.rasterizer import Fragments


@dataclasses.dataclass(frozen=True)
class DenseMesh:
    """vertices (N, 3) metres, colours (N, 3) 0..1 or None, faces (M, 3) int64, counter-clockwise seen from outside."""

    vertices: Tensor
    faces: Tensor
    colours: Tensor | None = None


def dense_mesh(head: HeadModel, vertices: Tensor, displacement: Tensor, texels: Fragments,
               colours: Tensor | None = None) -> DenseMesh:
    """The mesh of one face.

    vertices      (V, 3) posed, metres
    displacement  (h, w) metres along the normal
    texels        ``texture_fragments`` of the head at h x w
    colours       (3, h, w) 0..1, or None

    A vertex for every texel inside a face of the atlas, column after column as in the published dense template; where three
    or four neighbouring texels are there, they are joined.
    """
    covered = texels.face[0] >= 0
    both = torch.cat([vertices, vertex_normals(vertices[None], head.faces)[0]], 1)
    places, normals = in_texture_space(texels, head, both[None])[0].split(3)
    moved = places + displacement * normalize(normals, dim=0)
    order = torch.full_like(covered, -1, dtype=torch.int64)
    order.T[covered.T] = torch.arange(int(covered.sum()), device=order.device)
    columns = covered.T
    return DenseMesh(moved.permute(2, 1, 0)[columns], _joined(order), None if colours is None
                     else colours.permute(2, 1, 0)[columns])


def _joined(order: Tensor) -> Tensor:
    """Triangles between neighbours; ``order`` (h, w) has the number of each texel's vertex, -1 where there is none.

    Counter-clockwise seen on the texture (row 0 at the top), as the faces of a head's atlas are where it is not mirrored.
    """
    first, right = order[:-1, :-1].reshape(-1), order[:-1, 1:].reshape(-1)
    below, across = order[1:, :-1].reshape(-1), order[1:, 1:].reshape(-1)
    have = [corner >= 0 for corner in (first, right, below, across)]
    upper, lower = have[0] & have[1] & have[2], have[1] & have[2] & have[3]
    # Cells without their upper left or lower right texel are cut along the other diagonal.
    left, late = have[0] & have[2] & have[3] & ~have[1], have[0] & have[1] & have[3] & ~have[2]
    return torch.cat([torch.stack([a[keep], b[keep], c[keep]], 1) for a, b, c, keep in (
        (first, below, right, upper), (right, below, across, lower), (first, below, across, left), (first, across, right, late))])
