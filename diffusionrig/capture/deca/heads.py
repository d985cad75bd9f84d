"""DECA's regression networks, and what the 236 numbers of the coarse one mean."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from diffusionrig.capture.deca.resnet import FEATURES, ResNet50
from diffusionrig.errors import UsageError
from diffusionrig.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle

SIZES = {"shape": 100, "tex": 50, "exp": 50, "pose": 6, "cam": 3, "light": 27}
"""Parts of the vector in their order: identity, albedo, expression, head and jaw rotation, camera, light."""

N_OUTPUTS = sum(SIZES.values())
N_DETAIL = 128
HIDDEN = 1024
JAW_TYPES = ("aa", "euler")


class Regressor(nn.Module):
    """``forward(crops (B, 3, 224, 224) in [0, 1]) -> (B, outputs)``: ResNet-50, Linear, ReLU, Linear."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.encoder = ResNet50()
        self.layers = nn.Sequential(nn.Linear(FEATURES, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, outputs))

    def forward(self, crops: Tensor) -> Tensor:
        return self.layers(self.encoder(crops))


@dataclasses.dataclass(frozen=True)
class DecaCode:
    """The 236 numbers by name, for B faces: ``shape`` (B, 100), ``tex`` (B, 50) and ``exp`` (B, 50) in standard deviations,
    ``pose`` (B, 6) axis-angle of head and jaw in radians, ``cam`` (B, 3) scale, tx, ty, ``light`` (B, 9, 3) bands x RGB."""

    shape: Tensor
    tex: Tensor
    exp: Tensor
    pose: Tensor
    cam: Tensor
    light: Tensor


def split(vector: Tensor, jaw_type: str = "aa") -> DecaCode:
    """(B, 236) -> its parts; light is row-major, all colours of a band side by side.

    ``jaw_type`` says how the network states the jaw: "aa" as an axis-angle vector, "euler" as angles about x, y and z,
    which are turned into one. UsageError for another.
    """
    if jaw_type not in JAW_TYPES:
        raise UsageError(f"There is no jaw type {jaw_type!r}; choose one of {', '.join(JAW_TYPES)}.")
    parts = dict(zip(SIZES, torch.split(vector, list(SIZES.values()), 1)))
    if jaw_type == "euler":
        parts["pose"] = torch.cat([parts["pose"][:, :3], euler_to_axis_angle(parts["pose"][:, 3:])], 1)
    return DecaCode(**{**parts, "light": parts["light"].reshape(len(vector), 9, 3)})


def euler_to_axis_angle(angles: Tensor) -> Tensor:
    """Radians about x, y, z (B, 3) -> axis-angle (B, 3) of R = Rx Ry Rz."""
    x, y, z = axis_angle_to_matrix(torch.diag_embed(angles)).unbind(1)
    return matrix_to_axis_angle(x @ y @ z)
