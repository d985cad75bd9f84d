"""Meshes for the renderer's tests, and a head as simple as the protocol allows."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.rotations import axis_angle_to_matrix


def sphere(rings: int, sectors: int) -> tuple[Tensor, Tensor, Tensor]:
    """Unit sphere: vertices (V, 3), faces (F, 3) wound outwards, texture coordinates (V, 2). Poles are degenerate."""
    theta = torch.linspace(0, math.pi, rings + 1)[:, None].expand(-1, sectors + 1)
    phi = torch.linspace(-math.pi, math.pi, sectors + 1)[None].expand(rings + 1, -1)
    points = torch.stack([theta.sin() * phi.sin(), theta.cos(), theta.sin() * phi.cos()], -1).reshape(-1, 3)
    uv = torch.stack([phi / (2 * math.pi) + 0.5, 1 - theta / math.pi], -1).reshape(-1, 2)
    first = (torch.arange(rings)[:, None] * (sectors + 1) + torch.arange(sectors)).reshape(-1)
    below = first + sectors + 1
    faces = torch.cat([torch.stack([first, below, first + 1], -1), torch.stack([first + 1, below, below + 1], -1)])
    return points, faces, uv


def triangle_soup(count: int, size: float, seed: int, depth: float = 10.0) -> tuple[Tensor, Tensor]:
    """``count`` random triangles, front and back facing, some outside the image: vertices (3 count, 3), faces."""
    generator = torch.Generator().manual_seed(seed)
    centre = torch.rand(count, 1, 3, generator=generator) * 2.4 - 1.2
    corners = centre + (torch.rand(count, 3, 3, generator=generator) - 0.5) * size
    corners[..., 2] += depth
    return corners.reshape(-1, 3), torch.arange(3 * count).view(-1, 3)


class BallHead(nn.Module):
    """An ellipsoid of 9 cm that turns with the pose, grows with the shape and is tinted by the albedo."""

    name = "ball"
    hash = "0" * 64
    n_shape, n_expression, n_albedo = 2, 1, 3
    expression_names = ("stretch",)
    regions: dict[str, Tensor] = {}  # noqa: RUF012

    def __init__(self, rings: int = 12, sectors: int = 16) -> None:
        super().__init__()
        points, faces, uv = sphere(rings, sectors)
        self.register_buffer("rest", points * torch.tensor([0.07, 0.1, 0.09]))
        self.register_buffer("faces", faces)
        self.register_buffer("uv", uv)
        self.register_buffer("uv_faces", faces)
        generator = torch.Generator().manual_seed(5)
        self.register_buffer("pattern", torch.rand(3, 256, 256, generator=generator) * 0.4 + 0.3)
        self.register_buffer("points68", torch.randint(0, len(points), (68,), generator=generator))

    def vertices(self, code: FaceCode) -> Tensor:
        grown = self.rest * (1 + 0.1 * code.shape[:, None, :1])
        grown = grown + code.expression[:, None] * self.rest * self.rest.new_tensor([0.0, 0.2, 0.0])
        return (axis_angle_to_matrix(code.pose[:, None, :3]) @ grown[..., None]).squeeze(-1)

    def landmarks(self, vertices: Tensor, code: FaceCode) -> Tensor:
        return vertices[:, self.points68]

    def texture(self, albedo: Tensor) -> Tensor:
        return self.pattern + 0.1 * albedo[:, :, None, None]


def random_codes(batch: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> FaceCode:
    """Faces of a BallHead with different poses, lights, cameras and crops."""
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    crop = torch.eye(3, dtype=dtype).repeat(batch, 1, 1)
    crop[:, 0, 0] = crop[:, 1, 1] = 1 + 0.1 * noise(batch)
    crop[:, :2, 2] = 5 * noise(batch, 2)
    light = 0.2 * noise(batch, 9, 3)
    light[:, 0] += 3
    camera = torch.tensor([6.0, 0, 0], dtype=dtype) + torch.tensor([0.5, 0.02, 0.02], dtype=dtype) * noise(batch, 3)
    return FaceCode(shape=noise(batch, 2), albedo=noise(batch, 3), expression=noise(batch, 1), pose=0.4 * noise(batch, 6),
                    camera=camera, light=light, crop=crop, head="ball",
                    frame=torch.tensor([256.0, 240.0], dtype=dtype).repeat(batch, 1))
