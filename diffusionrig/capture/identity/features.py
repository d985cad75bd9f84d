"""What FIT tells about who somebody is: the shape of the head, and the skin of the face with the light taken out of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from diffusionrig.capture.fit.encoder import N_SHAPE, FitEncoder
from diffusionrig.capture.fit.landmark_model import neutral_code
from diffusionrig.capture.fit.refine import facing
from diffusionrig.capture.fit.surface import samples_of
from diffusionrig.capture.fit.view import look, sample_view
from diffusionrig.geometry.camera import project
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.render.shading import sh_basis

STEP = 2
"""Of the surface samples of FIT every other one is looked at."""

DARK = 0.05
"""Added to colours and shading (0..1), so that the logarithm of their quotient does not dwell on the dark."""


class IdentityFeatures:
    """Features of faces that ``encoder`` has captured: N_SHAPE coefficients of shape, those of albedo, and for each of P places
    on the skin the logarithm of brightness (without its mean over the face, which light and skin share) and two of hue."""

    def __init__(self, encoder: FitEncoder) -> None:
        self._head: HeadModel = encoder.head
        self._face, self._barycentric = encoder.surface.face[::STEP], encoder.surface.barycentric[::STEP]
        rest = neutral_code(self._head, 1, torch.zeros((), device=encoder.device))
        places = samples_of(self._head, rest, self._face, self._barycentric)[0][0]
        self._mirror = torch.cdist(places * places.new_tensor([-1.0, 1.0, 1.0]), places).argmin(1)

    @torch.no_grad()
    def __call__(self, images: Sequence[np.ndarray], code: FaceCode) -> Tensor:
        """uint8 (H, W, 3) RGB images and their codes -> (B, D) float32; places that are hidden on both sides are 0."""
        points, normals = samples_of(self._head, code, self._face, self._barycentric)
        colour, _, inside = sample_view(look(images, code.crop), project(points, code.camera)[..., :2])
        shading = (sh_basis(torch.nn.functional.normalize(normals, dim=-1)) @ code.light).clamp_min(0)
        logs = torch.log((colour + DARK) / (shading + DARK))
        weight = facing(normals) * inside
        skin = torch.stack([logs.mean(-1), logs[..., 0] - logs[..., 1], logs[..., 2] - logs[..., 1]], -1)
        # A face is nearly symmetric: what one side hides, the other may show.
        other = weight[:, self._mirror]
        both = weight[..., None] * skin + (1 - weight[..., None]) * other[..., None] * skin[:, self._mirror]
        total = (weight + (1 - weight) * other)[..., None]
        skin = torch.where(total > 0.1, both / total.clamp_min(0.1), torch.zeros(()).to(skin))
        bright = skin[..., 0]
        seen = (total[..., 0] > 0.1).to(bright)
        mean = (bright * seen).sum(1, keepdim=True) / seen.sum(1, keepdim=True).clamp_min(1)
        skin = torch.cat([((bright - mean) * seen)[..., None], skin[..., 1:]], -1)
        return torch.cat([code.shape[:, :N_SHAPE], code.albedo, skin.flatten(1)], 1).float()
