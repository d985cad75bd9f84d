"""The same rasteriser by PyTorch3D, for those who have it: to compare, or for its CUDA kernels."""

from __future__ import annotations

import torch
from torch import Tensor

from diffusionrig.errors import UsageError
from diffusionrig.render.rasterizer import Fragments, stretched


def rasterize_pytorch3d(vertices: Tensor, faces: Tensor, height: int, width: int) -> Fragments:
    """As ``rasterizer.rasterize``, in float32. UsageError when PyTorch3D cannot be imported.

    On CUDA its fused arithmetic may differ in the last bit, so that a few pixels of the outline change.
    """
    try:
        from pytorch3d.renderer.mesh.rasterize_meshes import rasterize_meshes
        from pytorch3d.structures import Meshes
    except ImportError as error:
        raise UsageError(f"--rasterizer pytorch3d needs the package pytorch3d ({error}); install it as its site describes, "
                         "or use --rasterizer torch, which gives the same images.") from None
    seen = stretched(vertices.float(), height, width) * vertices.new_tensor([-1.0, -1.0, 1.0], dtype=torch.float32)
    face, depth, barycentric, _ = rasterize_meshes(
        Meshes(verts=seen, faces=faces.expand(len(seen), -1, -1)), image_size=(height, width), blur_radius=0.0,
        faces_per_pixel=1, perspective_correct=False, clip_barycentric_coords=False, cull_backfaces=False)
    face, depth, barycentric = face[..., 0], depth[..., 0], barycentric[..., 0, :]
    empty = face < 0
    # It numbers the faces of all images through.
    first = torch.arange(len(seen), device=face.device)[:, None, None] * len(faces)
    return Fragments(torch.where(empty, -1, face - first), barycentric.masked_fill(empty[..., None], 0.0), depth)
