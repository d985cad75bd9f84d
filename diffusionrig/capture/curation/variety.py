"""The most different few of many photographs: farthest-point sampling (Gonzalez 1985) over pose, expression and light."""

from __future__ import annotations

import torch
from torch import Tensor

from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.rotations import axis_angle_to_matrix, matrix_to_euler_degrees
from diffusionrig.render.shading import sh_basis

DEGREES, MILLIMETRES, BRIGHTNESS = 15.0, 1.5, 0.2
"""Differences of yaw or pitch, of the face's vertices and of shading that count as much as each other."""

NORMALS = ((0.0, 0.0, 1.0), (0.8, 0.0, 0.6), (-0.8, 0.0, 0.6), (0.0, 0.8, 0.6), (0.0, -0.8, 0.6))


def appearance(head: HeadModel, code: FaceCode) -> Tensor:
    """(B, F): what photographs of one person can differ in, in units that are about equally visible."""
    angles = matrix_to_euler_degrees(axis_angle_to_matrix(code.pose[:, :3]))[:, :2] / DEGREES
    jaw = torch.cat([torch.zeros_like(code.pose[:, :3]), code.pose[:, 3:]], 1)
    still = code.replace(shape=torch.zeros_like(code.shape), pose=jaw)
    landmarks = head.landmarks(head.vertices(still), still)[:, 17:]
    face = 1000 * landmarks.flatten(1) / MILLIMETRES / landmarks.shape[1] ** 0.5
    shading = (sh_basis(code.light.new_tensor(NORMALS)) @ code.light).flatten(1)
    # The mean over colours and directions is exposure, as visible as the rest together.
    light = torch.log(shading.clamp_min(0.02)) / BRIGHTNESS / shading.shape[1] ** 0.5
    return torch.cat([angles, face, light], 1)


def most_different(features: Tensor, count: int) -> list[int]:
    """Indices of ``count`` rows, in their order: first the most central one, then always the one farthest from those chosen."""
    apart = torch.cdist(features, features)
    chosen = [int(apart.sum(1).argmin())]
    while len(chosen) < min(count, len(features)):
        chosen.append(int(apart[:, chosen].amin(1).argmax()))
    return sorted(chosen)
