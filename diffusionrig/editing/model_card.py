"""What a model file says about itself, read from its header alone."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from diffusionrig.editing.bases import find_base, is_adapter, recorded_base
from diffusionrig.editing.consent import consent_of
from diffusionrig.editing.pretrained import checkpoint_path, shipped_priors
from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.checkpoints import describe_checkpoint
from diffusionrig.io.descriptions import checked_description
from diffusionrig.io.files import sha256_of
from diffusionrig.io.images import decode_image
from diffusionrig.io.model_files import MODELS, PUBLISHED
from diffusionrig.model.adapters import AdapterConfig

KINDS = {"1": "prior (stage 1)", "2": "personal model (stage 2)"}


def describe_model(name: str | Path) -> dict[str, Any]:
    """The description of a model file (or the name of a shipped prior) as plain values.

    Keys of every file: file, kind, bytes, hash, parameters (None for a published ``.pt``, which says nothing). Of those that
    describe themselves also meta (all they say), consent (None unless personal); of adapters base (name, hash, file: where
    it was found, "" when nowhere) and adapter (their AdapterConfig). RigError when the description is damaged.
    """
    path = checkpoint_path(name)
    if path.suffix not in MODELS:
        raise UsageError(f"{path} is neither a model (.safetensors or .pt) nor the folder of a store.")
    card: dict[str, Any] = {"file": str(path), "kind": "published .pt file, which does not describe itself",
                            "bytes": path.stat().st_size, "hash": sha256_of(path), "parameters": None, "meta": {}, "consent": None}
    if path.suffix in PUBLISHED:
        return card
    shapes, meta = describe_checkpoint(path)
    checked_description(meta, path)
    card |= {"parameters": sum(math.prod(shape) for shape in shapes.values()), "meta": meta, "consent": consent_of(meta)}
    if is_adapter(meta):
        card |= {"kind": "personal adapter", "base": {**recorded_base(path, meta), "file": _base_file(path, meta)},
                 "adapter": AdapterConfig.from_dict(meta["adapter"], str(path))}
    else:
        other = "model" if "model" in meta else "safetensors file of another program"
        card["kind"] = KINDS.get(str(meta.get("stage")), other)
    return card


def _base_file(path: Path, meta: Mapping[str, Any]) -> str:
    try:
        return str(find_base(path, meta, shipped=shipped_priors().values()))
    except RigError:
        return ""


def preview_of(meta: Mapping[str, Any], name: str) -> np.ndarray | None:
    """The preview picture (H, W, 3) uint8 of a personal model, None without one; RigError when it is damaged."""
    text = meta.get("preview")
    if not text:
        return None
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RigError(f"The preview in {name} is damaged ({error}); the model may be used all the same.") from error
    return decode_image(data, f"the preview in {name}", max_megapixels=1.0)
