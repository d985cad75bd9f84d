"""SMIRK's encoder: three backbones with one linear layer each, and the limits put on what they say."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from diffusionrig.capture.smirk.backbone import LARGE, LARGE_FEATURES, SMALL, SMALL_FEATURES, Backbone

N_SHAPE, N_EXPRESSION = 300, 50
JAW_SIDE = 0.2
"""Radians by which the jaw may turn about the vertical axis and about the line of sight."""


@dataclasses.dataclass(frozen=True)
class SmirkCodes:
    """expression (B, 50) and shape (B, 300) in FLAME's units, pose (B, 3) and jaw (B, 3) axis-angle in radians, camera
    (B, 3) of SMIRK's own crop, eyelids (B, 2) left and right closure in 0..1."""

    expression: Tensor
    eyelids: Tensor
    jaw: Tensor
    shape: Tensor
    pose: Tensor
    camera: Tensor


class PoseEncoder(nn.Module):
    """Crops -> head rotation (3) and camera (3)."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Backbone(SMALL, SMALL_FEATURES)
        self.pose_cam_layers = nn.Sequential(nn.Linear(SMALL_FEATURES, 6))

    def forward(self, crops: Tensor) -> Tensor:
        return self.pose_cam_layers(self.encoder(crops).mean((2, 3)))


class ShapeEncoder(nn.Module):
    """Crops -> identity (300)."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Backbone(LARGE, LARGE_FEATURES)
        self.shape_layers = nn.Sequential(nn.Linear(LARGE_FEATURES, N_SHAPE))

    def forward(self, crops: Tensor) -> Tensor:
        return self.shape_layers(self.encoder(crops).mean((2, 3)))


class ExpressionEncoder(nn.Module):
    """Crops -> expression (50), eyelids (2), jaw (3), without their limits."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Backbone(LARGE, LARGE_FEATURES)
        self.expression_layers = nn.Sequential(nn.Linear(LARGE_FEATURES, N_EXPRESSION + 2 + 3))

    def forward(self, crops: Tensor) -> Tensor:
        return self.expression_layers(self.encoder(crops).mean((2, 3)))


class SmirkNetwork(nn.Module):
    """Crops (B, 3, 224, 224) in 0..1, RGB -> SmirkCodes; ``expression_and_jaw`` runs only the network that says those."""

    def __init__(self) -> None:
        super().__init__()
        self.pose_encoder = PoseEncoder()
        self.shape_encoder = ShapeEncoder()
        self.expression_encoder = ExpressionEncoder()

    def forward(self, crops: Tensor) -> SmirkCodes:
        pose = self.pose_encoder(crops)
        expression, eyelids, jaw = limited(self.expression_encoder(crops))
        return SmirkCodes(expression, eyelids, jaw, self.shape_encoder(crops), pose[:, :3], pose[:, 3:])

    def expression_and_jaw(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 50) and (B, 3)."""
        expression, _, jaw = limited(self.expression_encoder(crops))
        return expression, jaw


def limited(outputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Raw outputs (B, 55) -> expression as it comes, eyelids within 0..1, jaw that only opens and hardly turns aside."""
    expression, eyelids, jaw = outputs.split([N_EXPRESSION, 2, 3], 1)
    return expression, eyelids.clamp(0, 1), torch.cat([jaw[:, :1].relu(), jaw[:, 1:].clamp(-JAW_SIDE, JAW_SIDE)], 1)
