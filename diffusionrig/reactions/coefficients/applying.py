"""Coefficients for whole sets of predicted attributes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.mapped_npy import map_npy
from diffusionrig.io.npy_rows import NpyRows
from diffusionrig.progress import Progress
from diffusionrig.reactions.coefficients.network import AttributesToCoefficients
from diffusionrig.reactions.interface import ATTRIBUTES, COEFFICIENTS


@torch.no_grad()
def coefficients_of(network: AttributesToCoefficients, emotion: np.ndarray, device: torch.device) -> np.ndarray:
    """Attributes (K, T, 25) -> absolute coefficients (K, T, 58) float32; K series of T frames, as the network was trained."""
    series = torch.from_numpy(np.array(emotion, np.float32)).to(device)
    return network.to(device)(series).cpu().numpy()


def write_coefficients(network: AttributesToCoefficients, predictions: Path, output: Path, device: torch.device) -> tuple[int, ...]:
    """(N, K, T, 25) in ``predictions`` -> (N, K, T, 58) in ``output``, item by item; returns that shape."""
    made = map_npy(predictions, "prediction file")
    if made.ndim != 4 or made.shape[3] != ATTRIBUTES:
        raise RigError(f"{predictions} has the shape {made.shape}, but (items, samples, frames, {ATTRIBUTES}) is needed.")
    if output.exists():
        raise UsageError(f"{output} exists already; choose another --output or delete it.")
    shape = (*made.shape[:3], COEFFICIENTS)
    with Progress(shape[0], "coefficients", "item") as progress, NpyRows(output, shape) as rows:
        for n, clip in enumerate(made):
            if not np.isfinite(clip).all():
                raise RigError(f"Item {n} of {predictions} holds values that are not finite; predict it again.")
            rows.append(coefficients_of(network, clip, device))
            progress.update()
    return shape
