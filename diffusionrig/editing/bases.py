"""A personal adapter and the base model it belongs to: found by the hash that the adapter records, and joined."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from diffusionrig.errors import RigError
from diffusionrig.io.checkpoints import load_weights
from diffusionrig.io.files import sha256_of
from diffusionrig.io.model_files import MODELS, find_model_file
from diffusionrig.io.remote import is_remote
from diffusionrig.model.adapters import AdapterConfig, merged

MEAN_SHAPE = "mean_shape"
_LONGEST = 4096
"""Characters of a name, hash or path of a base; what is longer is none."""


def is_adapter(meta: Mapping[str, Any]) -> bool:
    """Whether a checkpoint's description is that of an adapter, which needs a base model."""
    return meta.get("kind") == "adapter"


def find_base(adapter: Path, meta: Mapping[str, Any], chosen: str | Path = "", shipped: Iterable[Path] = ()) -> Path:
    """The base model of ``adapter``: ``chosen``, else the first with the recorded hash of the ``shipped`` priors, the recorded
    path (as it was typed, from here or from the adapter's folder), and the models in the adapter's folder.

    RigError in one sentence with both hashes when ``chosen`` is another model, or when no candidate is the right one.
    """
    base = recorded_base(adapter, meta)
    if str(chosen):
        file, _ = find_model_file(chosen, "base model")  # whatever its name, it is the right one only by its hash
        found = sha256_of(file)
        if found != base["hash"]:
            raise RigError(f"The adapter {adapter} was trained on the base model {base['name']} with the hash {base['hash']}, but "
                           f"{file} has the hash {found}; give the right one with --base.")
        return file
    for file in _candidates(adapter, base, shipped):
        # Sizes first: hashing large files takes seconds.
        if os.path.isfile(file) and file.stat().st_size == base["bytes"] and sha256_of(file) == base["hash"]:
            return file
    raise RigError(f"The adapter {adapter} was trained on the base model {base['name']} with the hash {base['hash']}, which is "
                   f"neither shipped, nor at {base['path']}, nor beside the adapter; name it with --base.")


def _candidates(adapter: Path, base: Mapping[str, Any], shipped: Iterable[Path]) -> Iterator[Path]:
    yield from shipped
    if not is_remote(base["path"]):
        yield Path(base["path"])
        yield adapter.parent / base["path"]
    yield adapter.parent / base["name"]
    yield from (path for path in sorted(adapter.parent.iterdir()) if path.suffix in MODELS and path != adapter)


def join_base(adapter: Path, tensors: Mapping[str, Tensor], meta: Mapping[str, Any], base: Path) -> dict[str, Tensor]:
    """The state dict of the personal model: the base's weights with the adapters merged in, and the adapter's mean shape."""
    weights, _ = load_weights(base)
    weights.pop(MEAN_SHAPE, None)
    return merged({**weights, **tensors}, AdapterConfig.from_dict(meta["adapter"], str(adapter)), str(adapter))


def recorded_base(adapter: Path, meta: Mapping[str, Any]) -> Mapping[str, Any]:
    """What an adapter says of its base: name, hash, bytes, path. RigError when it does not."""
    base, kinds = meta.get("base"), {"name": str, "hash": str, "bytes": int, "path": str}
    told = isinstance(base, dict) and all(
        type(base.get(key)) is kind and (kind is int or len(base[key]) <= _LONGEST) for key, kind in kinds.items())
    if not isinstance(base, dict) or not told or not isinstance(meta.get("adapter"), dict):
        raise RigError(f"The adapter {adapter} does not say which base model it belongs to; it is damaged or of another program.")
    return base
