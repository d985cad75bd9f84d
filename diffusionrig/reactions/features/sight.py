"""Features of the frames that need nothing beyond the package: faces, coefficients, attributes."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch

from diffusionrig.capture.encoder import Encoder
from diffusionrig.capture.fit.finding import find_face
from diffusionrig.capture.registry import make_encoder
from diffusionrig.capture.tracking.tracker import TRACKS, NoFaceError, Tracker, tracker_of
from diffusionrig.editing.smoothing import Smoothing, one_euro
from diffusionrig.errors import RigError, UsageError
from diffusionrig.faces.landmarker import FaceLandmarker
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.heads import DEFAULT_HEAD, load_head
from diffusionrig.reactions.corpus.attributes import COLUMNS, N_COEFFICIENTS
from diffusionrig.reactions.features.attribute_rule import arkit_rule
from diffusionrig.reactions.features.captured import code_coefficients, fill_gaps, tracked_coefficients
from diffusionrig.reactions.features.clip_data import ClipData
from diffusionrig.reactions.features.face_crops import cut_square, face_square
from diffusionrig.reactions.features.field import PER_FRAME, Field

BETWEEN, CAPTURED, GIVEN = 0, 1, 2
"""Where a row of coefficients comes from: interpolated, captured from its frame, read from the corpus."""

Model = Callable[[np.ndarray], np.ndarray]
"""(T, 58) absolute coefficients of a clip -> (T, 25) attributes."""


class Faces:
    """``is_face``, ``face_box`` and, unless ``size`` is 0, ``s_face``."""

    name = "face"

    def __init__(self, size: int) -> None:
        self.size = size

    @cached_property
    def landmarker(self) -> FaceLandmarker:
        return FaceLandmarker()

    def fields(self, fps: float) -> tuple[Field, ...]:
        fields = (Field("is_face", fps, PER_FRAME, "1 where MediaPipe's Face Landmarker found a face, the largest near the middle, "
                        "else 0.", "int32"),
                  Field("face_box", fps, PER_FRAME, "Corners x0, y0, x1, y1 of the square about the face, pixels of the frame; 0 "
                        "where there is none."))
        crop = Field("s_face", fps, PER_FRAME, f"RGB, the square cut out and resized to {self.size} pixels; black where there "
                     "is no face.", "uint8", packed=True)
        return (*fields, crop) if self.size else fields

    def extract(self, data: ClipData) -> dict[str, np.ndarray]:
        found, boxes = np.zeros(data.length, np.int32), np.zeros((data.length, 4), np.float32)
        crops = np.zeros((data.length if self.size else 0, self.size, self.size, 3), np.uint8)
        for t, image in enumerate(data.frames()):
            face = find_face(image, self.landmarker)
            if face is None:
                continue
            found[t], boxes[t] = 1, face_square(face)
            if self.size:
                crops[t] = cut_square(image, boxes[t], self.size)
        return {"is_face": found, "face_box": boxes} | ({"s_face": crops} if self.size else {})


class Coefficients:
    """``s_coefficients`` and ``coefficients_from``: the corpus's own where it has them (unless ``recapture``), else our capture's.

    ``every``: how many frames one captured stands for; those between are interpolated. With every frame captured one person is
    followed through the clip, as ``track`` (out of TRACKS) says.
    """

    name = "coefficients"

    def __init__(self, every: int, smoothing: Smoothing, recapture: bool, device: str, track: str = TRACKS[0]) -> None:
        self.every, self.smoothing, self.recapture, self.device, self.track = every, smoothing, recapture, device, track

    @cached_property
    def head(self) -> HeadModel:
        return load_head(DEFAULT_HEAD)

    @cached_property
    def encoder(self) -> Encoder:
        return make_encoder("FIT", self.head, self.device)

    def fields(self, fps: float) -> tuple[Field, ...]:
        smoothed = f"one-euro filter of {self.smoothing.cutoff:g} Hz" if self.smoothing.cutoff else "not smoothed"
        return (Field("s_coefficients", fps, PER_FRAME, "52 ARKit expressions, angles (pi + pitch, yaw, roll) in radians, "
                      f"translation in FaceVerse's units: the corpus's own, or captured by FIT ({smoothed}); NaN in a clip "
                      "without a face."),
                Field("coefficients_from", fps, PER_FRAME, "2: from the corpus, 1: captured from this frame, 0: interpolated "
                      "between captured frames.", "uint8"))

    def extract(self, data: ClipData) -> dict[str, np.ndarray]:
        if data.has("coefficients") and not self.recapture:
            given = data.split.coefficients(data.clip)[:data.length]
            return {"s_coefficients": given, "coefficients_from": np.full(data.length, GIVEN, np.uint8)}
        tracker = tracker_of(self.encoder, self.track) if self.every == 1 else None
        rows, known = self._alone(data) if tracker is None else self._tracked(data, tracker)
        filled = one_euro(fill_gaps(rows, known), data.fps, self.smoothing)
        sources = np.where(known, CAPTURED, BETWEEN).astype(np.uint8)
        return {"s_coefficients": filled.astype(np.float32), "coefficients_from": sources}

    def _alone(self, data: ClipData) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients (T, 58) of frames captured one by one, and which of them (T,) show a face."""
        rows, known = np.zeros((data.length, N_COEFFICIENTS)), np.zeros(data.length, bool)
        for t, image in enumerate(data.frames()):
            if t % self.every:
                continue
            captured = self.encoder.encode([image])
            known[t] = bool(captured.found[0])
            if known[t]:
                rows[t] = code_coefficients(captured.code.to("cpu", torch.float64), self.head)[0]
        return rows, known

    def _tracked(self, data: ClipData, tracker: Tracker) -> tuple[np.ndarray, np.ndarray]:
        """The same of one person followed through the clip."""
        try:
            return tracked_coefficients(tracker, data.frames(), data.length, data.fps, str(data.clip), self.head)
        except NoFaceError:
            return np.zeros((data.length, N_COEFFICIENTS)), np.zeros(data.length, bool)


class Attributes:
    """``s_emotion`` and ``emotion_given``: the corpus's own where it has them, else what ``model`` makes of the coefficients."""

    name = "emotion"

    def __init__(self, model: str, coefficients: Coefficients) -> None:
        self.model, self.coefficients = model, coefficients
        self.rule = attribute_model(model)

    def fields(self, fps: float) -> tuple[Field, ...]:
        return (Field("s_emotion", fps, PER_FRAME, f"The corpus's 25 attributes ({', '.join(COLUMNS)}), or where it has none "
                      f"those of {self.model} made from s_coefficients; NaN in a clip without a face."),
                Field("emotion_given", 0, "Of the clip.", f"1: from the corpus, 0: by {self.model}.", "uint8"))

    def extract(self, data: ClipData) -> dict[str, np.ndarray]:
        if data.has("emotion"):
            return {"s_emotion": data.split.emotion(data.clip)[:data.length], "emotion_given": np.ones(1, np.uint8)}
        if "s_coefficients" not in data.made:
            data.made |= self.coefficients.extract(data)
        made = np.asarray(self.rule(data.made["s_coefficients"]), np.float32)
        if made.shape != (data.length, len(COLUMNS)):
            raise RigError(f"The attribute model {self.model} gave an array {made.shape} for {data.length} frames, but "
                           f"({data.length}, {len(COLUMNS)}) is needed.")
        return {"s_emotion": made, "emotion_given": np.zeros(1, np.uint8)}


def attribute_model(name: str) -> Model:
    """``arkit-rule``, or ``package.module:function``. UsageError when there is none of that name."""
    if name == "arkit-rule":
        return arkit_rule
    place, _, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(place), function) if function else None
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"The attribute model {name} cannot be imported ({error}); give arkit-rule or "
                         "package.module:function.") from error
    if not callable(found):
        raise UsageError(f"There is no attribute model {name!r}; give arkit-rule or package.module:function.")
    return found  # type: ignore[no-any-return]
