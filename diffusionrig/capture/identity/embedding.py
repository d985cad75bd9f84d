"""Identity embeddings by name: pictures in, one direction per face out; the cosine between two says whether they are one person."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from diffusionrig.errors import UsageError

DEFAULT = "fit"
NAMES = ("fit", "dlib", "onnx:PATH", "onnx-raw:PATH")


class IdentityEmbedding(Protocol):
    """name  what it was asked for as
    same  cosine from which two pictures count as one person
    """

    name: str
    same: float

    def embed(self, images: Sequence[np.ndarray]) -> Tensor:
        """uint8 (H, W, 3) RGB pictures, one face each -> (B, D) float32 on the CPU, rows of length 1; 0 where no face was found.

        A row does not depend on what else is embedded with it.
        """
        ...


def make_identity(name: str = DEFAULT, device: torch.device | str = "cpu") -> IdentityEmbedding:
    """The embedding called ``name``: ``fit`` ships, ``dlib`` is an extra, ``onnx:PATH`` runs a face network of the user's.

    UsageError for an unknown name or an absent file or extra. An ONNX file holds no code to run; formats that do (TorchScript,
    pickles) are not taken.
    """
    kind, _, path = name.partition(":")
    if kind in {"onnx", "onnx-raw"} and path:
        from diffusionrig.capture.identity.onnx_network import OnnxIdentity

        return OnnxIdentity(Path(path), scaled=kind == "onnx")
    if name == "dlib":
        from diffusionrig.capture.identity.dlib_network import DlibIdentity

        return DlibIdentity()
    if name == "fit":
        from diffusionrig.capture.identity.fit_identity import FitIdentity

        return FitIdentity(device)
    raise UsageError(f"There is no identity embedding {name!r}; choose from {', '.join(NAMES)}.")


def unit_rows(rows: Tensor) -> Tensor:
    """Rows (B, D) scaled to length 1; rows of zeros stay."""
    return torch.nn.functional.normalize(rows.float(), dim=1)
