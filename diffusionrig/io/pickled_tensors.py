"""Tensors that were pickled, not ``torch.save``d: a pickle that carries old torch bytes inside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from diffusionrig.errors import RigError
from diffusionrig.io.files import existing_file, read_bytes
from diffusionrig.io.torch_files import TENSOR_NAMES, LazyStorage, TorchFile, rebuild_tensor, storage_from_bytes
from diffusionrig.io.unpickle import restricted_loads


def pickled_tensor_names() -> dict[str, Callable[..., Any]]:
    """The names of a pickled tensor and what they stand for; a pickle read with them holds ordinary tensors."""
    files: dict[int, TorchFile] = {}

    def load_from_bytes(data: Any) -> LazyStorage:
        file, storage = storage_from_bytes(data)
        files[id(storage)] = file
        return storage

    def rebuild(storage: Any, *view: Any) -> Tensor:
        lazy = rebuild_tensor(storage, *view)
        return files[id(storage)].load(lazy)

    return {**TENSOR_NAMES, "torch._utils._rebuild_tensor_v2": rebuild, "torch.storage._load_from_bytes": load_from_bytes}


def tensor_from_pickle(data: bytes, what: str) -> Tensor:
    """A tensor that was pickled on any device, as a contiguous CPU tensor.

    The three names of a pickled tensor are replaced, and the view is checked against its storage. RigError when the
    pickle holds anything else.
    """
    value = restricted_loads(data, pickled_tensor_names(), what)
    if not isinstance(value, Tensor):
        raise RigError(f"{what} holds {type(value).__name__}, but a tensor is needed; write it again.")
    return value


def read_pickled_tensor(path: str | Path, what: str = "the pickled tensor") -> Tensor:
    """``tensor_from_pickle`` of a whole file (mean_shape.pkl, for instance)."""
    file = existing_file(path, what)
    return tensor_from_pickle(read_bytes(file), str(file))
