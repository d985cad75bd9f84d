"""LPIPS (Zhang et al. 2018), version 0.1 with AlexNet, from two files that the user supplies.

The ``lpips`` package needs torchvision, which breaks beside another torch, and loads ImageNet weights from the network when
used; the measure itself is five convolutions and a weighted difference, so it is written out here and reads the same files.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.checkpoints import load_released

BACKBONE, HEADS = "alexnet-owt-7be5be79.pth", "alex.pth"
"""torchvision's AlexNet trained on ImageNet, and the linear weights of the lpips package (``lpips/weights/v0.1``)."""

# (features.N, outputs, inputs, kernel, stride, padding); a max pool of 3 with stride 2 comes before the second and third.
_LAYERS = ((0, 64, 3, 11, 4, 2), (3, 192, 64, 5, 1, 2), (6, 384, 192, 3, 1, 1), (8, 256, 384, 3, 1, 1), (10, 256, 256, 3, 1, 1))
_POOLED = (3, 6)
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
LEAST_SIDE = 31
"""Smaller pictures vanish in the pooling."""

ABSENT = (f"LPIPS was not measured: name a folder with {BACKBONE} (torchvision's AlexNet) and {HEADS} (weights/v0.1 of the lpips "
          "package) as --lpips.")


class Lpips:
    """The distance of images; 0 for equal ones."""

    def __init__(self, backbone: Mapping[str, Tensor], heads: Mapping[str, Tensor], name: str = "LPIPS") -> None:
        self._convolutions, self._heads = [], []
        for number, (layer, outputs, inputs, kernel, _, _) in enumerate(_LAYERS):
            self._convolutions.append((
                _take(backbone, f"features.{layer}.weight", (outputs, inputs, kernel, kernel), name),
                _take(backbone, f"features.{layer}.bias", (outputs,), name)))
            self._heads.append(_take(heads, f"lin{number}.model.1.weight", (1, outputs, 1, 1), name))

    @classmethod
    def load(cls, folder: str | Path) -> Lpips:
        """From a folder with BACKBONE and HEADS. UsageError when one is absent, RigError when one is damaged."""
        place = Path(folder)
        for file in (BACKBONE, HEADS):
            if not (place / file).is_file():
                raise UsageError(f"There is no {file} in {place}, which --lpips needs; put it there or leave --lpips out.")
        return cls(load_released(place / BACKBONE), load_released(place / HEADS), str(place))

    @torch.inference_mode()
    def __call__(self, images: Tensor, truth: Tensor) -> Tensor:
        """(B,) distances of images (B, 3, H, W) in [0, 1]."""
        if min(images.shape[-2:]) < LEAST_SIDE:
            raise RigError(f"LPIPS needs pictures of {LEAST_SIDE} pixels or more, not {tuple(images.shape[-2:])}.")
        total = images.new_zeros(len(images))
        for first, second, weight in zip(self._features(images), self._features(truth), self._heads):
            apart = (_unit(first) - _unit(second)).square()
            total = total + F.conv2d(apart, weight.to(apart)).mean((1, 2, 3))
        return total

    def _features(self, images: Tensor) -> list[Tensor]:
        shift, scale = (images.new_tensor(values)[:, None, None] for values in (_SHIFT, _SCALE))
        x, found = (images * 2 - 1 - shift) / scale, []
        for (layer, _, _, _, stride, padding), (weight, bias) in zip(_LAYERS, self._convolutions):
            if layer in _POOLED:
                x = F.max_pool2d(x, 3, 2)
            x = F.conv2d(x, weight.to(x), bias.to(x), stride, padding).relu()
            found.append(x)
        return found


def _unit(features: Tensor) -> Tensor:
    return features / (features.square().sum(1, keepdim=True).sqrt() + 1e-10)


def _take(tensors: Mapping[str, Tensor], key: str, shape: tuple[int, ...], name: str) -> Tensor:
    found = tensors.get(key)
    if found is None or tuple(found.shape) != shape:
        raise RigError(f"{name} holds no {key} of shape {shape}; it takes {BACKBONE} of torchvision and {HEADS} of lpips 0.1.")
    return found.float()
