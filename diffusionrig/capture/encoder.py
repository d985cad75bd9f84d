"""What every encoder offers: images in, a FaceCode out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from torch import Tensor

from diffusionrig.geometry.face_code import FaceCode

FLAG_BELOW = 0.5
"""Captures whose confidence is below this are flagged: worth a look before they are trained on."""

LEAST_SIDE = 256


@dataclasses.dataclass(frozen=True)
class EncoderOptions:
    """How encoders with a published way of looking at photographs (DECA, EMOCA, SMIRK) look at them.

    published_side  pixels that pictures, which must be aligned faces then, are brought to first, as DiffusionRig does;
                    0: they are taken as they are
    landmarks       who finds the face: a name of ``faces.backends.BACKENDS``
    model           the folder of an EMOCA model among the registered files; empty: the usual one
    """

    published_side: int = 0
    landmarks: str = "mediapipe"
    model: str = ""

    @staticmethod
    def as_published(size: int, landmarks: str = "mediapipe") -> EncoderOptions:
        """For aligned pictures that a network of ``size`` pixels is to draw; smaller ones show too little of a face."""
        return EncoderOptions(max(size, LEAST_SIDE), landmarks)


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


@runtime_checkable
class StagedEncoder(Encoder, Protocol):
    """An encoder whose work on a single image (finding the face, cutting it out) can be done apart from its network.

    ``encode(images)`` equals ``encode_prepared([prepare(image) for image in images])``. ``prepare`` may be called from
    several threads at once, so that images are prepared while the network works on others.
    """

    def prepare(self, image: np.ndarray) -> Any:
        """What the network needs of one uint8 (H, W, 3) RGB image."""
        ...

    def encode_prepared(self, prepared: Sequence[Any]) -> Capture:
        """One row per prepared image."""
        ...
