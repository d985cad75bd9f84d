"""The features by name, and which of them can be had here."""

from __future__ import annotations

import dataclasses
from typing import Protocol

import numpy as np

from diffusionrig.capture.tracking.tracker import TRACKS
from diffusionrig.editing.smoothing import Smoothing
from diffusionrig.errors import UsageError
from diffusionrig.reactions.corpus import Split
from diffusionrig.reactions.features.clip_data import SOUND_RATE, ClipData
from diffusionrig.reactions.features.field import Field
from diffusionrig.reactions.features.hearing import LogMel, Mfcc
from diffusionrig.reactions.features.pretrained import VideoMae, Wav2Vec2
from diffusionrig.reactions.features.sight import Attributes, Coefficients, Faces
from diffusionrig.reactions.features.smile import ComParE

NAMES = ("face", "coefficients", "logmel", "mfcc", "comparE", "wav2vec2", "videomae", "emotion")
"""In the order in which they are made: attributes may be made of coefficients."""

HEARD = ("logmel", "mfcc", "comparE", "wav2vec2")

_UNIFR_NOTE = ("s_exp, s_AU, s_VA and l_tokens are not made: they come from networks (ResMaskNet, ME-GraphAU, an EfficientNet) "
               "whose weights are not part of this project, and from UniFR's own token tables.")


class Feature(Protocol):
    """One feature: the datasets it fills and how they are made of a clip, a function of the clip and its settings alone."""

    name: str

    def fields(self, fps: float) -> tuple[Field, ...]: ...

    def extract(self, data: ClipData) -> dict[str, np.ndarray]: ...


@dataclasses.dataclass(frozen=True)
class Settings:
    """How features are made; the flags of the command explain each."""

    face_size: int = 128
    frames_every: int = 1
    smooth: float = 0.0
    smooth_beta: float = 1.0
    recapture: bool = False
    wav2vec2: str = ""
    videomae: str = ""
    emotion_model: str = "arkit-rule"
    device: str = "cpu"
    sound_rate: int = SOUND_RATE
    track: str = TRACKS[0]

    def __post_init__(self) -> None:
        if not 0 <= self.face_size <= 1024 or 0 < self.face_size < 16:
            raise UsageError(f"--face_size {self.face_size} is neither 0 (no crops) nor from 16 to 1024 pixels.")
        if not 8000 <= self.sound_rate <= 192000:
            raise UsageError(f"--sound_rate {self.sound_rate} is not from 8000 to 192000 hertz.")


def make_features(names: tuple[str, ...], settings: Settings) -> list[Feature]:
    """The features called ``names``, in the order of NAMES. UsageError for a name that there is not."""
    unknown = [name for name in names if name not in NAMES]
    if unknown or not names:
        raise UsageError(f"There is no feature {unknown[0] if unknown else '(none named)'!r}; choose from {', '.join(NAMES)}.")
    smoothing = Smoothing(settings.smooth, settings.smooth_beta)
    coefficients = Coefficients(settings.frames_every, smoothing, settings.recapture, settings.device, settings.track)
    every: dict[str, Feature] = {feature.name: feature for feature in (
        Faces(settings.face_size), coefficients, LogMel(), Mfcc(), ComParE(), Wav2Vec2(settings.wav2vec2, settings.device),
        VideoMae(settings.videomae, settings.device), Attributes(settings.emotion_model, coefficients))}
    return [every[name] for name in NAMES if name in names]


def available(features: list[Feature], split: Split) -> tuple[list[Feature], dict[str, str]]:
    """Those that can be made here, and for each other one the sentence that says why not."""
    corpus, kept, skipped = split.corpus, [], {}
    seen = {name: corpus.layout.folder(corpus.root, split.name, name).is_dir()
            for name in ("video", "audio", "coefficients", "emotion")}
    first = split.path("video", split.items[0].speaker)
    for feature in features:
        reason = feature.missing() if isinstance(feature, ComParE | Wav2Vec2 | VideoMae) else ""
        sources = {"face": ("video",), "videomae": ("video",), "coefficients": ("video", "coefficients"),
                   "emotion": ("emotion", "coefficients", "video")}.get(feature.name, ("audio",))
        silent = feature.name in HEARD and not seen["audio"] and not first.is_file()
        if silent or (feature.name not in HEARD and not any(seen[source] for source in sources)):
            reason = (f"{feature.name} is left out, since {corpus.root / split.name} has no "
                      f"{' or '.join(corpus.layout.folders[source][0] for source in sources)}; add it and prepare again.")
        if reason:
            skipped[feature.name] = reason
        else:
            kept.append(feature)
    return kept, skipped | {"unifr": _UNIFR_NOTE}
