"""A speaker in anybody's clip, as generators see and hear one: the features of ``react prepare``, moved to where the generator's
own corpus has its faces."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Protocol

import numpy as np

from diffusionrig.ahead import ahead
from diffusionrig.capture.fit.encoder import FitEncoder
from diffusionrig.capture.registry import make_encoder
from diffusionrig.capture.tracking.tracker import Tracker
from diffusionrig.errors import UsageError
from diffusionrig.geometry.heads import DEFAULT_HEAD, load_head
from diffusionrig.io.clip_frames import ClipFrames
from diffusionrig.io.sound import Sound, fit_sound
from diffusionrig.reactions.features.attribute_rule import arkit_rule
from diffusionrig.reactions.features.captured import fill_gaps, tracked_coefficients
from diffusionrig.reactions.features.logmel import log_mel
from diffusionrig.reactions.features.resampling import resample
from diffusionrig.reactions.frames.codes import ANGLES, TRANSLATION
from diffusionrig.reactions.generators.clips import AUDIO
from diffusionrig.reactions.generators.running import load_generator
from diffusionrig.reactions.interface import ReactionGenerator, SpeakerClip
from diffusionrig.reactions.live.listening import LiveGenerator

RATE = 16000
"""Hertz at which a speaker is heard, as by ``react live``."""


class RestingGenerator(ReactionGenerator, LiveGenerator, Protocol):
    """A generator that says where its corpus has a face at rest."""


def load_listener(path: str, device: str) -> RestingGenerator:
    """The generator of a model file or run; UsageError when it is none that can listen to anybody."""
    generator = load_generator(path, device)
    if not isinstance(generator, LiveGenerator):
        raise UsageError(f"{generator.name} does not say where its corpus has a face at rest, so that it cannot be told where a "
                         "stranger is; take a run of stream or faceais.")
    return generator


@functools.lru_cache(maxsize=1)
def fit_encoder(device: str) -> FitEncoder:
    """What sees speakers: coefficients are those of the head whose expressions are ARKit's."""
    encoder = make_encoder("FIT", load_head(DEFAULT_HEAD), device)
    assert isinstance(encoder, FitEncoder)
    return encoder


def seen_speaker(clip: ClipFrames, encoder: FitEncoder, on_frame: Callable[[int], None] = lambda number: None) -> np.ndarray:
    """(T, 58) float64 coefficients of the person of the clip's first face. RigError when no frame shows one."""
    assert clip.fps is not None
    rows, known = tracked_coefficients(Tracker(encoder), ahead(clip), len(clip), clip.fps, str(clip.path), encoder.head, on_frame)
    return fill_gaps(rows, known)


def heard_speaker(sound: Sound | None, frames: int, fps: float) -> dict[str, np.ndarray]:
    """Features of the sound of so many frames, by name; none without sound."""
    if sound is None:
        return {}
    fitted, _ = fit_sound(sound, frames / fps)
    samples = np.clip(resample(fitted.samples.mean(1, dtype=np.float32), fitted.rate, RATE), -1, 1)
    return {AUDIO: log_mel(samples, RATE, fps)[:frames]}


def speaker_clip(name: str, rows: np.ndarray, heard: dict[str, np.ndarray], rest: np.ndarray) -> SpeakerClip:
    """What a generator is told of a speaker ``name`` with coefficients ``rows`` (T, 58), when its corpus has a face at ``rest``.

    Attributes are made by rule. The head's angles are counted from their median, as if the speaker sat as the corpus's do, and its
    place is the corpus's: where a stranger sits before the camera means nothing, and would be far from all that was learnt.
    """
    moved = np.array(rows)
    moved[:, ANGLES] += rest[ANGLES] - np.median(rows[:, ANGLES], axis=0)
    moved[:, TRANSLATION] = rest[TRANSLATION]
    return SpeakerClip(name, arkit_rule(rows), moved.astype(np.float32), heard)
