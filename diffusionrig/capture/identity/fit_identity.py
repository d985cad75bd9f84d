"""The embedding that ships: features of a FIT capture, turned so that what tells people apart counts and what differs between
photographs of one person does not (linear discriminants, Fisher 1936). ``scripts/train_identity.py`` makes its file from
synthetic people alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from diffusionrig.capture.fit.encoder import FitEncoder
from diffusionrig.capture.fit.finding import find_face
from diffusionrig.capture.identity.embedding import unit_rows
from diffusionrig.capture.identity.features import IdentityFeatures
from diffusionrig.errors import RigError
from diffusionrig.faces.face import Face
from diffusionrig.geometry.heads import DEFAULT_HEAD, load_head
from diffusionrig.io.assets import read_asset
from diffusionrig.io.npz import read_arrays

ASSET = "identity.npz"


class FitIdentity:
    """Weak beside networks trained on millions of faces, but free of them; docs/evaluation.md says how weak."""

    name = "fit"

    def __init__(self, device: torch.device | str = "cpu", encoder: FitEncoder | None = None) -> None:
        """``encoder`` spares making one, where it is at hand and of the default head."""
        head = load_head(DEFAULT_HEAD)
        self._encoder = encoder if encoder is not None and encoder.head.name == DEFAULT_HEAD else FitEncoder(head, device)
        self._features = IdentityFeatures(self._encoder)
        arrays = read_arrays(read_asset(ASSET), f"assets/{ASSET}")
        if str(arrays["head_hash"]) != head.hash:
            raise RigError("The identity embedding was made with another edition of the open head; run "
                           "scripts/train_identity.py again.")
        self._mean, self._matrix = (torch.from_numpy(arrays[name].astype(np.float32)) for name in ("mean", "matrix"))
        self.same = float(arrays["same"])

    def embed(self, images: Sequence[np.ndarray]) -> Tensor:
        return self.embed_faces(images, [find_face(image, self._encoder.landmarker) for image in images])

    def embed_faces(self, images: Sequence[np.ndarray], faces: Sequence[Face | None]) -> Tensor:
        """The same for ``faces`` that are known, in pixels of their ``images``."""
        rows = torch.zeros(len(images), self._matrix.shape[1])
        for i, (image, face) in enumerate(zip(images, faces)):
            if face is not None:
                features = self._features([image], self._encoder.fit([image], [face]).code)[0].cpu()
                rows[i] = (features - self._mean) @ self._matrix
        return unit_rows(rows)
