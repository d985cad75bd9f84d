"""Rasteriser: triangles in the image plane -> face, barycentric coordinates and depth at each pixel, differentiable."""

from __future__ import annotations

import dataclasses
from functools import cached_property

import torch
from torch import Tensor

from diffusionrig.errors import RigError
from diffusionrig.render.coverage import barycentric_denominator, nearest_faces


@dataclasses.dataclass
class Fragments:
    """What is seen at each pixel of B images.

    face         (B, H, W)     int64 index of the face, -1 where there is none
    barycentric  (B, H, W, 3)  weights of the face's corners, 0 where there is none; they do not quite sum to one
    depth        (B, H, W)     interpolated z, -1 where there is none
    """

    face: Tensor
    barycentric: Tensor
    depth: Tensor

    @cached_property
    def covered(self) -> Tensor:
        """Indices (P,) of the pixels that show a face, among all pixels of all images."""
        return covered_pixels(self.face)


def covered_pixels(face: Tensor) -> Tensor:
    """Indices (P,) of the pixels of ``face`` (B, H, W) that show one."""
    return (face.reshape(-1) >= 0).nonzero().squeeze(1)


def rasterize(vertices: Tensor, faces: Tensor, height: int, width: int) -> Fragments:
    """Nearest face at each pixel centre of ``height`` x ``width`` images.

    vertices  (B, V, 3)  image plane: x right, y down, [-1, 1] from edge to edge; z positive, smaller is nearer
    faces     (F, 3)     int64 vertex indices, either winding

    The rules are those of PyTorch3D's CPU rasteriser with blur 0, one face per pixel, no perspective correction, no
    culling and no clipping, and so are the results to the last bit in float32: a pixel belongs to a face when its centre
    lies in the closed bounding box and strictly inside all three edges (a centre exactly on a shared edge belongs to
    neither face); faces of doubled area at most 1e-8 or with a corner nearer than 1e-8 are skipped; 1e-8 is added to the
    denominator of the barycentric coordinates, which are not renormalised; of equal depths the first face wins.

    Faces are chosen in float32 whatever the precision of ``vertices``; barycentric coordinates and depth have that of
    ``vertices`` and carry gradients to them. The choice of a face itself has no gradient. RigError on wrong shapes.
    """
    if vertices.ndim != 3 or vertices.shape[-1] != 3 or faces.ndim != 2 or faces.shape[-1] != 3:
        raise RigError(f"The rasteriser takes vertices (B, V, 3) and faces (F, 3); it was given {tuple(vertices.shape)} "
                       f"and {tuple(faces.shape)}.")
    if height < 1 or width < 1:
        raise RigError(f"Cannot render an image of {width} x {height} pixels; both sides must be at least 1.")
    columns, rows = (pixel_centres(*sides, device=vertices.device) for sides in ((width, height), (height, width)))
    vertices = stretched(vertices, height, width)
    with torch.no_grad():
        place = torch.device("cpu") if vertices.device.type == "mps" else vertices.device  # no 64-bit scatter there
        face = nearest_faces(vertices.detach().float().to(place), faces.to(place), columns.to(place), rows.to(place))
        face = face.to(vertices.device)
    covered = covered_pixels(face)
    *weights, depth = _weights(vertices, faces, face, covered, columns.to(vertices.dtype), rows.to(vertices.dtype))
    # One plane of memory per corner, which is how they are made and used.
    barycentric = torch.stack([vertices.new_zeros(face.numel()).scatter(0, covered, weight) for weight in weights])
    depth = vertices.new_full((face.numel(),), -1.0).scatter(0, covered, depth)
    return Fragments(face, barycentric.view(3, *face.shape).movedim(0, -1), depth.view(face.shape))


def pixel_centres(size: int, other: int, device: torch.device | str = "cpu") -> Tensor:
    """Coordinates (size,) float32 of the pixel centres along an axis of ``size`` pixels, ``other`` on the other axis.

    (2 j + 1) / size - 1, times size / other on the longer axis, with the roundings of PyTorch3D, which counts from the far
    end of an axis that points the other way.
    """
    extent = torch.tensor(2.0)
    if size > other:
        extent = extent * size / torch.tensor(float(other))
    half = extent / 2
    steps = torch.arange(size - 1, -1, -1, dtype=torch.float32)
    return (half - (extent * steps + half) / torch.tensor(float(size))).to(device)


def stretched(vertices: Tensor, height: int, width: int) -> Tensor:
    """Image-plane vertices with the longer axis of the image stretched, so that pixels become square."""
    if height == width:
        return vertices
    long, short, axis = (height, width, 1) if height > width else (width, height, 0)
    parts = list(vertices.unbind(-1))
    # A tensor divides exactly on every device; dividing by a number may multiply by its rounded reciprocal.
    parts[axis] = parts[axis] * long / vertices.new_tensor(float(short))
    return torch.stack(parts, -1)


def _weights(vertices: Tensor, faces: Tensor, face: Tensor, covered: Tensor, columns: Tensor,
             rows: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Three barycentric coordinates and depth, each (P,), at the ``covered`` pixels, in the operation order of PyTorch3D."""
    (batch, height, width), count = face.shape, vertices.shape[1]
    chosen = face.reshape(-1).index_select(0, covered)
    image = covered.div(height * width, rounding_mode="floor")
    line = covered.div(width, rounding_mode="floor")
    px = columns.index_select(0, covered - line * width)
    py = rows.index_select(0, line - image * height)
    planar = vertices.permute(2, 0, 1).reshape(3, batch * count)
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = (
        planar.index_select(1, faces[:, corner].index_select(0, chosen) + image * count) for corner in range(3))
    denominator = barycentric_denominator((cx - ax) * (by - ay) - (cy - ay) * (bx - ax))
    first = ((px - bx) * (cy - by) - (py - by) * (cx - bx)) / denominator
    second = ((px - cx) * (ay - cy) - (py - cy) * (ax - cx)) / denominator
    third = ((px - ax) * (by - ay) - (py - ay) * (bx - ax)) / denominator
    depth = first * az + second * bz + third * cz
    return first, second, third, depth
