"""One photograph of an album: what is measured on it, and what by itself speaks against it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from diffusionrig.capture.curation.duplicates import picture_hash
from diffusionrig.capture.curation.sharpness import SIDE, sharpness
from diffusionrig.capture.fit.encoder import FitEncoder
from diffusionrig.capture.fit.finding import find_face
from diffusionrig.capture.identity.embedding import IdentityEmbedding
from diffusionrig.errors import RigError
from diffusionrig.faces.alignment import align
from diffusionrig.faces.face import Face
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.rotations import axis_angle_to_matrix, matrix_to_euler_degrees
from diffusionrig.io.images import read_image
from diffusionrig.io.resize import resize_square

UNREADABLE, ABSENT, SMALL, CUT, TURNED, BLURRED, DOUBTFUL = (
    "unreadable", "no face", "too small", "cut off", "extreme pose", "blurred", "doubtful")
REPEATED, OTHER, SURPLUS, KEPT = "duplicate", "other person", "surplus", "kept"
VERDICTS = (KEPT, SURPLUS, REPEATED, OTHER, TURNED, BLURRED, DOUBTFUL, SMALL, CUT, ABSENT, UNREADABLE)

THUMBNAIL = 128
BEYOND = 0.1
"""With more of the 68 points beyond the photograph, part of the face itself is missing."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a photograph must keep to stay; docs/curate.md has what the defaults were measured on.

    min_face        pixels, the longer side of the landmarks' box
    min_sharpness   see ``sharpness``; 0 takes any
    max_yaw, max_pitch  degrees to the side, and up or down
    min_confidence  of the capture, 0..1
    duplicate       share of the bits of two picture hashes up to which they are one picture; below 0 none are
    same            cosine from which a face is the album's person; None: what the embedding says
    keep            at most so many stay, the most different ones; 0: all
    """

    min_face: float = 80.0
    min_sharpness: float = 0.24
    max_yaw: float = 45.0
    max_pitch: float = 30.0
    min_confidence: float = 0.1
    duplicate: float = 0.12
    same: float | None = None
    keep: int = 0


@dataclasses.dataclass
class Look:
    """A photograph and what is known of it; what needs a face is None without one.

    reasons    (verdict, sentence), most important first; none for a photograph that stays
    numbers    face_pixels, sharpness, yaw, pitch, confidence, likeness
    bytes      size of the file
    hashes     of the whole picture and of the aligned face
    points     (68, 2) landmarks of the face that was judged, pixels of the photograph
    """

    file: str
    reasons: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    bytes: int = 0
    numbers: dict[str, float] = dataclasses.field(default_factory=dict)
    thumbnail: np.ndarray | None = None
    hashes: tuple[np.ndarray, ...] = ()
    embedding: Tensor | None = None
    code: FaceCode | None = None
    points: np.ndarray | None = None

    @property
    def verdict(self) -> str:
        return self.reasons[0][0] if self.reasons else KEPT

    @property
    def why(self) -> str:
        return "; ".join(sentence for _, sentence in self.reasons)

    def quality(self) -> tuple[int, int, str]:
        """Sorts the better of two repeats first: the larger face (in steps of 5 %), then the file that was compressed less."""
        return (-round(20 * math.log(self.numbers["face_pixels"])), -self.bytes, self.file)


class Looker:
    """Looks at photographs one by one; the same photograph always gives the same."""

    def __init__(self, encoder: FitEncoder, identity: IdentityEmbedding, limits: Limits, max_megapixels: float) -> None:
        self._encoder, self._identity, self._limits, self._most = encoder, identity, limits, max_megapixels

    def look(self, path: Path, name: str) -> Look:
        """The photograph at ``path``, called ``name`` in the report."""
        try:
            image = read_image(path, self._most)
        except RigError as error:
            return Look(name, [(UNREADABLE, str(error))])
        look = Look(name, bytes=path.stat().st_size, thumbnail=resize_square(image, THUMBNAIL))
        face = find_face(image, self._encoder.landmarker)
        if face is None:
            look.reasons.append((ABSENT, "no face was found"))
            return look
        try:
            aligned = align(image, face.points68, SIDE).image
        except ValueError as error:
            look.reasons.append((ABSENT, f"a face was found, but {error}"))
            return look
        look.points = face.points68
        look.thumbnail = resize_square(aligned, THUMBNAIL)
        look.hashes = (picture_hash(image), picture_hash(aligned))
        look.code = self._encoder.fit([image], [face]).code.to("cpu")
        look.embedding = self._identity.embed([aligned])[0]
        pitch, yaw = matrix_to_euler_degrees(axis_angle_to_matrix(look.code.pose[:, :3].double()))[0, :2].tolist()
        look.numbers = {"face_pixels": round(face.size, 1), "sharpness": round(sharpness(aligned), 4), "yaw": round(yaw, 1),
                        "pitch": round(pitch, 1), "confidence": round(float(look.code.confidence), 4)}
        look.reasons = list(self._objections(look.numbers, face, image.shape))
        return look

    def _objections(self, numbers: dict[str, float], face: Face, shape: Sequence[int]) -> list[tuple[str, str]]:
        limits, found = self._limits, []
        size = np.array([shape[1], shape[0]])
        beyond = float(((face.points68 < -0.5) | (face.points68 > size - 0.5)).any(1).mean())
        if numbers["face_pixels"] < limits.min_face:
            found.append((SMALL, f"the face has {numbers['face_pixels']:.0f} pixels, fewer than {limits.min_face:g}"))
        if beyond > BEYOND:
            found.append((CUT, f"{beyond:.0%} of the face's points lie beyond the edge of the photograph"))
        for angle, most, words in (("yaw", limits.max_yaw, "to the side"), ("pitch", limits.max_pitch, "up or down")):
            if abs(numbers[angle]) > most:
                found.append((TURNED, f"the head is turned {abs(numbers[angle]):.0f} degrees {words}, more than {most:g}"))
        if numbers["sharpness"] < limits.min_sharpness:
            found.append((BLURRED, f"the face is blurred (sharpness {numbers['sharpness']:.2f}, below {limits.min_sharpness:g})"))
        if numbers["confidence"] < limits.min_confidence:
            found.append((DOUBTFUL, f"the capture is doubtful (confidence {numbers['confidence']:.2f}, below "
                                    f"{limits.min_confidence:g})"))
        return found
