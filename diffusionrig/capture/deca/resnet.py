"""ResNet-50 (He et al. 2016) as DECA uses it: torchvision's layer names, a fixed 7 x 7 average, no classifier.

The denoiser's encoder (``model/encoder.py``) is a ResNet too, but ``capture/`` lies below ``model/`` in the plan and may not
import it; what both could share are forty lines.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from diffusionrig.errors import RigError
from diffusionrig.geometry.face_code import CROP_SIZE

FEATURES = 2048
DEPTHS = (3, 4, 6, 3)
_EXPANSION = 4


def _shortcut(channels: int, out_channels: int, stride: int) -> nn.Module:
    if stride == 1 and channels == out_channels:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3, 1 x 1 convolutions; the stride sits in the 3 x 3 one (version 1.5)."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        out_channels = _EXPANSION * width
        self.conv1, self.bn1 = nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels)
        self.downsample = _shortcut(channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.bn1(self.conv1(x)), inplace=True)
        h = F.relu(self.bn2(self.conv2(h)), inplace=True)
        return F.relu(self.bn3(self.conv3(h)) + self.downsample(x), inplace=True)


class ResNet50(nn.Module):
    """``forward(crops (B, 3, 224, 224) RGB in [0, 1]) -> features (B, 2048)``; there is no mean or deviation to take out."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        channels = 64
        for stage, depth in enumerate(DEPTHS):
            width, blocks = 64 << stage, []
            for place in range(depth):
                blocks.append(Bottleneck(channels, width, 2 if stage and not place else 1))
                channels = _EXPANSION * width
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """RigError when the crops have another size than 224 pixels: the average is over 7 x 7 places whatever comes."""
        if tuple(x.shape[1:]) != (3, CROP_SIZE, CROP_SIZE):
            raise RigError(f"The encoder takes crops of shape (B, 3, {CROP_SIZE}, {CROP_SIZE}), not {tuple(x.shape)}.")
        h = F.max_pool2d(F.relu(self.bn1(self.conv1(x)), inplace=True), 3, stride=2, padding=1)
        for stage in range(len(DEPTHS)):
            h = getattr(self, f"layer{stage + 1}")(h)
        return F.avg_pool2d(h, 7, stride=1).flatten(1)
