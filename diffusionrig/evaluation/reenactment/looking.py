"""What is read off a picture: landmarks, face code, identity. A picture that is met again is not read again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from diffusionrig.capture.encoder import Encoder
from diffusionrig.capture.fit.finding import find_face
from diffusionrig.capture.identity.embedding import IdentityEmbedding
from diffusionrig.faces.landmarker import FaceLandmarker
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.progress import Progress

TOGETHER = 16


@dataclass(frozen=True)
class Look:
    """points (68, 2) pixels; code, batch 1 on the CPU; identity (D,) of length 1. Each None where no face was found for it."""

    points: np.ndarray | None
    code: FaceCode | None
    identity: torch.Tensor | None


class Looker:
    """Reads pictures with one encoder, one embedding (None leaves identity out) and the shipped landmarks."""

    def __init__(self, encoder: Encoder, identity: IdentityEmbedding | None) -> None:
        self._encoder, self._identity = encoder, identity
        self._finder = FaceLandmarker()
        self._known: dict[bytes, Look] = {}
        self._captured: dict[bytes, FaceCode | None] = {}

    def remember(self, image: np.ndarray, code: FaceCode | None) -> None:
        """The code of a picture that this encoder has captured before (None: it found no face), so as not to do it again."""
        self._captured[_key(image)] = None if code is None else code.to("cpu", torch.float32)

    def look(self, image: np.ndarray) -> Look:
        """What was read off an (H, W, 3) uint8 picture."""
        self.read([image])
        return self._known[_key(image)]

    def read(self, images: Iterable[np.ndarray]) -> None:
        """Read all that are not known yet, several at a time."""
        new = {key: image for image in images if (key := _key(image)) not in self._known}
        keys = list(new)
        with Progress(len(keys), "read pictures", enabled=len(keys) > 1) as progress:
            for start in range(0, len(keys), TOGETHER):
                part = keys[start:start + TOGETHER]
                self._known.update(zip(part, self._look([new[key] for key in part])))
                progress.update(len(part))

    def _look(self, images: Sequence[np.ndarray]) -> list[Look]:
        self._capture([image for image in images if _key(image) not in self._captured])
        looks = []
        for image in images:
            face = find_face(image, self._finder)
            row = None if self._identity is None else self._identity.embed([image])[0]
            looks.append(Look(None if face is None else face.points68.astype(np.float64), self._captured.pop(_key(image)),
                              None if row is None or not bool(row.any()) else row))
        return looks

    def _capture(self, images: Sequence[np.ndarray]) -> None:
        if images:
            captured = self._encoder.encode(images)
            for i, image in enumerate(images):
                self.remember(image, captured.code[i] if bool(captured.found[i]) else None)


def _key(image: np.ndarray) -> bytes:
    return hashlib.sha256(repr(image.shape).encode() + image.tobytes()).digest()
