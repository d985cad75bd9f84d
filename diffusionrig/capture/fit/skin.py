"""Which colours of a photograph are skin of a fitted head, and what shading each of them should show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import grid_sample, normalize

from diffusionrig.capture.fit.photometry import SkinSamples
from diffusionrig.geometry.face_code import CROP_SIZE, FaceCode, whole_frame_crop
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.mesh import vertex_normals
from diffusionrig.render.interpolation import interpolate
from diffusionrig.render.physical import placed_vertices, rasterize_points
from diffusionrig.render.shading import sh_basis
from diffusionrig.render.texture import texture_plane

CROP_VIEW = 96
"""Side in pixels at which the crop is compared with the model."""

SAMPLES = 1200
GRAZING = 0.25
"""Cosine between normal and view below which a pixel is left out: silhouettes are neither well placed nor well lit."""


def crop_view(image: np.ndarray, crop: Tensor, size: int = CROP_VIEW) -> tuple[np.ndarray, np.ndarray]:
    """The crop of an image (H, W, 3) uint8 as (size, size, 3) uint8, area-averaged, and where it lies inside (size, size)."""
    scale = float(crop[0, 0])
    side = CROP_SIZE / scale
    left, top = -float(crop[0, 2]) / scale, -float(crop[1, 2]) / scale
    height, width = image.shape[:2]
    x0, y0 = int(np.floor(left)), int(np.floor(top))
    x1, y1 = int(np.ceil(left + side)), int(np.ceil(top + side))
    margins = [(max(0, -y0), max(0, y1 - height)), (max(0, -x0), max(0, x1 - width)), (0, 0)]
    window = image[max(0, y0):max(0, min(height, y1)), max(0, x0):max(0, min(width, x1))]
    padded = Image.fromarray(np.pad(window, margins))
    box = (left - x0, top - y0, min(left - x0 + side, padded.width), min(top - y0 + side, padded.height))
    view = np.asarray(padded.resize((size, size), Image.Resampling.BILINEAR, box=box))
    centres = (np.arange(size) + 0.5) * side / size
    # Half a view pixel of margin: the average there would mix in the padding.
    margin = max(1.0, side / size)
    across = (left + centres > margin) & (left + centres < width - margin)
    down = (top + centres > margin) & (top + centres < height - margin)
    return view, down[:, None] & across[None]


class Skin:
    """The appearance of one head model, prepared for sampling."""

    def __init__(self, head: HeadModel) -> None:
        self.head = head
        zero = torch.zeros(1, head.n_albedo, device=head.faces.device)
        self.mean = head.texture(zero)
        self.basis = head.texture(torch.eye(head.n_albedo, device=zero.device)) - self.mean
        ones = torch.ones(int(head.faces.max()) + 1, device=zero.device)
        self.region = head.regions.get("skin", head.regions.get("face", ones)).float()

    def sample(self, code: FaceCode, images: Sequence[np.ndarray]) -> SkinSamples:
        """At most SAMPLES skin pixels per face of ``images``, under the geometry of ``code``."""
        batch, device = len(code), self.head.faces.device
        views, inside = zip(*(crop_view(image, crop) for image, crop in zip(images, code.crop.cpu())))
        colour = torch.from_numpy(np.stack(views)).to(device).float() / 255
        frame = torch.full((batch, 2), float(CROP_SIZE), device=device)
        vertices, points = placed_vertices(self.head, code.replace(frame=frame, crop=whole_frame_crop(frame)))
        fragments = rasterize_points(points, self.head.faces, CROP_VIEW)
        normals = vertex_normals(vertices, self.head.faces)
        attributes = torch.cat([normals, self.region[None, :, None].expand(batch, -1, 1)], -1)
        seen = interpolate(fragments, self.head.faces, attributes).flatten(2).transpose(1, 2)
        grid = interpolate(fragments, self.head.uv_faces, texture_plane(self.head.uv)).flatten(2).transpose(1, 2)
        normal = seen[..., :3]
        facing = ((normalize(normal, dim=-1)[..., 2] - GRAZING) / 0.2).clamp(0, 1)
        weight = facing * seen[..., 3].clamp(0, 1) * torch.from_numpy(np.stack(inside)).to(device).flatten(1)

        chosen = torch.stack([_spread(row) for row in weight])
        def pick(values: Tensor) -> Tensor:
            return values.gather(1, chosen[..., None].expand(-1, -1, values.shape[-1]))

        # Places chosen twice (a small visible face) share one vote.
        weight = weight.gather(1, chosen) / _multiplicity(chosen)
        looked = grid_sample(torch.cat([self.mean, self.basis]).flatten(0, 1)[None].expand(batch, -1, -1, -1),
                             pick(grid)[:, :, None], mode="bilinear", padding_mode="zeros", align_corners=False)
        albedo = looked[..., 0].unflatten(1, (-1, 3)).transpose(2, 3)
        return SkinSamples(pick(colour.flatten(1, 2)), weight, sh_basis(pick(normal)), albedo[:, 0], albedo[:, 1:])


def _spread(weight: Tensor) -> Tensor:
    """SAMPLES indices evenly spread over the non-zero entries of ``weight`` (P,); repeats when there are fewer."""
    valid = (weight > 0).nonzero()[:, 0]
    if len(valid) == 0:
        return torch.zeros(SAMPLES, dtype=torch.int64, device=weight.device)
    steps = torch.arange(SAMPLES, device=weight.device) * len(valid) // SAMPLES
    return valid[steps]


def _multiplicity(chosen: Tensor) -> Tensor:
    counts = torch.zeros(len(chosen), CROP_VIEW * CROP_VIEW, device=chosen.device)
    counts.scatter_add_(1, chosen, torch.ones_like(chosen, dtype=counts.dtype))
    return counts.gather(1, chosen)
