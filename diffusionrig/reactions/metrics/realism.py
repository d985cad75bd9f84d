"""FRRea: how far the drawn frames are from real ones, as the Fréchet distance of picture features; lower is better.

The published code takes Inception's 2048 features, whose weights do not ship here; distances compare within one kind of features
only, so its name stands beside every figure. ``random-convolutions-1``, which ships, is a fixed untrained network: it sees blur,
noise, colour and texture, and knows nothing of faces. Features made elsewhere are taken as files.
"""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from diffusionrig.errors import UsageError
from diffusionrig.frechet import frechet_distance
from diffusionrig.io.images import find_images, read_image
from diffusionrig.io.mapped_npy import map_npy
from diffusionrig.io.unread import unread_files
from diffusionrig.progress import track
from diffusionrig.randomness import torch_stream

SHIPPED = "random-convolutions-1"
EVERY = 30
"""Frames from one scored picture to the next, as published."""
_SIDE, _WIDTHS = 128, (3, 32, 64, 128)


class RandomConvolutions:
    """Pictures -> features: mean and deviation over the picture of every channel of a fixed network of three strided
    convolutions."""

    name = SHIPPED
    size = 2 * sum(_WIDTHS)

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self._kernels = []
        for i, (inputs, outputs) in enumerate(pairwise(_WIDTHS)):
            draw = torch.randn(outputs, inputs, 3, 3, generator=torch_stream(SHIPPED, i), dtype=torch.float64)
            # Without a mean a kernel answers to structure, not to brightness, and the variance stays the same from layer to layer.
            draw = draw - draw.mean((1, 2, 3), keepdim=True)
            self._kernels.append((draw / draw.flatten(1).norm(dim=1)[:, None, None, None] * 2 ** 0.5).float().to(self.device))

    @torch.no_grad()
    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """(B, H, W, 3) uint8 -> (B, size) float64."""
        layer = torch.from_numpy(np.array(pictures)).to(self.device).permute(0, 3, 1, 2).float() / 127.5 - 1
        layer = functional.interpolate(layer, size=(_SIDE, _SIDE), mode="bilinear", antialias=True, align_corners=False)
        found = [_pooled(layer)]
        for kernel in self._kernels:
            layer = functional.relu(functional.conv2d(layer, kernel, stride=2, padding=1))
            found.append(_pooled(layer))
        return torch.cat(found, 1).cpu().numpy()


def _pooled(layer: Tensor) -> Tensor:
    values = layer.double()
    return torch.cat([values.mean((2, 3)), values.std((2, 3), correction=0)], 1)


def pictures_in(folder: Path, step: int = EVERY) -> list[Path]:
    """Of every folder of frames within ``folder``, in the order of their numbers, the first and each ``step``-th after it."""
    clips: dict[Path, list[Path]] = {}
    for path in find_images(folder):
        clips.setdefault(path.parent, []).append(path)
    return [path for frames in clips.values() for path in sorted(frames, key=_in_order)[::step]]


def unread_in(*sources: Path) -> list[str]:
    """Pictures and videos of kinds that are not read in those of ``sources`` that are folders of frames."""
    return [str(file) for source in sources if source.is_dir() for file in unread_files(source, find_images(source))]


def _in_order(path: Path) -> tuple[list[int], str]:
    return [int(digits) for digits in re.findall(r"\d+", path.stem)], path.name


def features_of(source: Path, step: int, device: torch.device | str = "cpu") -> np.ndarray:
    """Features (n, D) of a folder of frames, by the shipped network, or those in an .npy file, made elsewhere."""
    if source.suffix == ".npy":
        return np.asarray(map_npy(source, "feature file"), np.float64)
    pictures = pictures_in(source, step)
    if not pictures:
        raise UsageError(f"{source} holds no pictures; give a folder of frames, or features as .npy.")
    network = RandomConvolutions(device)
    return np.concatenate([network(read_image(path)[None]) for path in track(pictures, f"features of {source.name}")])


def frrea(real: Path, made: Path, step: int = EVERY, features: str = "", device: torch.device | str = "cpu") -> tuple[float, str]:
    """FRRea and the name of its features. UsageError when one side is frames and the other features, or features have no name."""
    files = [source.suffix == ".npy" for source in (real, made)]
    if files[0] != files[1]:
        raise UsageError(f"{real} and {made} must both be folders of frames or both features (.npy) of one network.")
    if files[0] and not features:
        raise UsageError(f"Say with --features which network {real} and {made} come from; distances compare within one only.")
    return frechet_distance(features_of(real, step, device), features_of(made, step, device)), features if files[0] else SHIPPED
