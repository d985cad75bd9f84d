"""Face codes as the arrays of a store's records, and the header that says which head model they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from diffusionrig.errors import RigError
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel


def store_header(head: HeadModel, image_size: int, encoder: str, buffers: str = "none", **more: Any) -> dict[str, Any]:
    """The header for a StoreWriter: what every record of the store has in common.

    ``encoder`` is who measured the codes ("FIT", "synth" for true ones); ``more`` are further JSON-able entries.
    """
    return {"head": head.name, "head_hash": head.hash, "image_size": image_size, "encoder": encoder,
            "buffers": buffers, **more}


def code_arrays(code: FaceCode) -> dict[str, np.ndarray]:
    """The float32 arrays, without batch axis, of a FaceCode of batch 1."""
    if len(code) != 1:
        raise ValueError(f"a record holds one face, not {len(code)}")
    return {name: tensor[0].detach().cpu().float().numpy() for name, tensor in code.tensors().items()}


def code_from_arrays(arrays: Mapping[str, np.ndarray], head: str, what: str) -> FaceCode:
    """The inverse of ``code_arrays``: a FaceCode of batch 1. RigError naming ``what`` when arrays are missing or wrong."""
    try:
        return FaceCode(head=head, **{name: torch.from_numpy(np.asarray(array, np.float32))[None]
                                      for name, array in arrays.items()})
    except TypeError as error:
        raise RigError(f"{what} does not hold a face code ({error}); write the store again.") from error
