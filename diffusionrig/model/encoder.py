"""ResNet (He et al. 2016) that turns the photograph into a short global latent; torchvision's layer names."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH = 64
"""Channels of a ResNet's first layers, as published; each further stage has twice as many as the one before."""


def _conv(channels: int, out_channels: int, size: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, out_channels, size, stride=stride, padding=size // 2, bias=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions; the first one carries the stride."""

    expansion = 1

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv(channels, width, 3, stride), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = _conv(width, width, 3), nn.BatchNorm2d(width)
        self.downsample = _shortcut(channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(h)) + self.downsample(x))


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions; the 3x3 one carries the stride, as in torchvision."""

    expansion = 4

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        out_channels = width * self.expansion
        self.conv1, self.bn1 = _conv(channels, width, 1), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = _conv(width, width, 3, stride), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = _conv(width, out_channels, 1), nn.BatchNorm2d(out_channels)
        self.downsample = _shortcut(channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.bn1(self.conv1(x)))
        h = F.relu(self.bn2(self.conv2(h)))
        return F.relu(self.bn3(self.conv3(h)) + self.downsample(x))


def _shortcut(channels: int, out_channels: int, stride: int) -> nn.Module:
    if stride == 1 and channels == out_channels:
        return nn.Identity()
    return nn.Sequential(_conv(channels, out_channels, 1, stride), nn.BatchNorm2d(out_channels))


class ResNet(nn.Module):
    """``forward(image (B,3,S,S) in [-1,1]) -> latent (B, latent_dim)``, unbounded."""

    def __init__(self, block: type[BasicBlock] | type[Bottleneck], depths: tuple[int, ...], latent_dim: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTH, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTH)
        self.depth = len(depths)
        channels = WIDTH
        for index, depth in enumerate(depths):
            width, layers = WIDTH * 2**index, []
            for position in range(depth):
                layers.append(block(channels, width, 2 if index and not position else 1))
                channels = width * block.expansion
            self.add_module(f"layer{index + 1}", nn.Sequential(*layers))
        self.fc = nn.Linear(channels, latent_dim)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        h = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, stride=2, padding=1)
        for index in range(self.depth):
            h = getattr(self, f"layer{index + 1}")(h)
        return self.fc(torch.mean(h, dim=(2, 3)))


class NoEncoder(nn.Module):
    """``forward(image (B,3,S,S)) -> zeros (B, latent_dim)``: for networks that see the photograph itself."""

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim

    def forward(self, x: Tensor) -> Tensor:
        return x.new_zeros(x.shape[0], self.latent_dim)


def build_encoder(kind: str, latent_dim: int) -> ResNet | NoEncoder:
    """``kind``: "resnet18", "resnet50" or "none"."""
    if kind == "none":
        return NoEncoder(latent_dim)
    if kind == "resnet50":
        return ResNet(Bottleneck, (3, 4, 6, 3), latent_dim)
    return ResNet(BasicBlock, (2, 2, 2, 2), latent_dim)
