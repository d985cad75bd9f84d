"""One tensor in a ``.pt`` file, as ``torch.save`` writes it and ``torch.load(..., weights_only=True)`` reads it."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from diffusionrig.errors import RigError
from diffusionrig.io.files import atomic_path, existing_file
from diffusionrig.io.unpickle import load_weights_only


def write_pt(path: str | Path, tensor: Tensor) -> None:
    """Write ``tensor``, detached and on the CPU, atomically."""
    with atomic_path(path) as temporary:
        torch.save(tensor.detach().cpu().contiguous(), temporary)


def read_pt(path: str | Path) -> Tensor:
    """The tensor of a file that ``write_pt`` wrote; RigError when it holds anything else."""
    file = existing_file(path, "tensor file")
    try:
        with open(file, "rb") as stream:
            value = load_weights_only(stream)
    except Exception as error:  # a damaged pickle may raise anything
        raise RigError(f"{file} is damaged or is no tensor file; delete it or copy it again.") from error
    if not isinstance(value, Tensor):
        raise RigError(f"{file} holds {type(value).__name__} instead of one tensor; move it away.")
    return value
