"""One tensor in a ``.pt`` file, as ``torch.save`` writes it and ``torch.load(..., weights_only=True)`` reads it."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from diffusionrig.errors import RigError
from diffusionrig.io.files import atomic_path
from diffusionrig.io.torch_files import read_torch


def write_pt(path: str | Path, tensor: Tensor) -> None:
    """Write ``tensor``, detached and on the CPU, atomically."""
    with atomic_path(path) as temporary:
        torch.save(tensor.detach().cpu().contiguous(), temporary)


def read_pt(path: str | Path) -> Tensor:
    """The tensor of a file that ``write_pt`` wrote; RigError when it holds anything else."""
    value = read_torch(path, "tensor file")
    if not isinstance(value, Tensor):
        raise RigError(f"{path} holds {type(value).__name__} instead of one tensor; move it away.")
    return value
