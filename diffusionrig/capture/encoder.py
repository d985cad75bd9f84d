"""What every encoder offers: images in, a FaceCode out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from torch import Tensor

from diffusionrig.geometry.face_code import FaceCode

FLAG_BELOW = 0.5
"""Captures whose confidence is below this are flagged: worth a look before they are trained on."""


@dataclasses.dataclass(frozen=True)
class Capture:
    """The result for B images.

    code   the FaceCode, on the encoder's device; a neutral head with confidence 0 where nothing was found
    found  (B,) bool, on the CPU
    notes  one text per image: empty, or one sentence on what is doubtful or missing
    """

    code: FaceCode
    found: Tensor
    notes: list[str]

    @property
    def flagged(self) -> Tensor:
        """(B,) bool, on the CPU: a face was found, but its confidence is below FLAG_BELOW."""
        return self.found & (self.code.confidence.cpu() < FLAG_BELOW)


class Encoder(Protocol):
    """Turns images of any size, one face each, into face codes."""

    name: str

    def encode(self, images: Sequence[np.ndarray]) -> Capture:
        """``images``: uint8 (H, W, 3) RGB, sizes may differ. The result does not depend on how images are batched."""
        ...
