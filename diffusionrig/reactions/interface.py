"""What every predictor of listener reactions takes and returns, trained or not.

T frames (750), K samples; 25 facial attributes (15 action units, valence, arousal, 8 expression probabilities) and 58 coefficients
(52 ARKit expressions, 3 angles, 3 translation, absolute: the corpus's mean face is not taken off).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import numpy as np

ATTRIBUTES, COEFFICIENTS = 25, 58
Mode = Literal["offline", "online"]


@dataclasses.dataclass(frozen=True)
class SpeakerClip:
    """name          the clip, unique within its corpus
    emotion       (T, 25) float32
    coefficients  (T, 58) float32; None when the corpus has none
    audio         features by name, each (T, D) float32
    """

    name: str
    emotion: np.ndarray
    coefficients: np.ndarray | None = None
    audio: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class ListenerHistory:
    """Earlier clips of the person who listens; ``name`` is that person, the lists may be empty.

    emotion       each (T', 25) float32
    coefficients  each (T', 58) float32
    """

    name: str
    emotion: Sequence[np.ndarray] = ()
    coefficients: Sequence[np.ndarray] = ()


@dataclasses.dataclass(frozen=True)
class Prediction:
    """emotion       (K, T, 25) float32
    coefficients  (K, T, 58) float32; None when the predictor makes attributes only
    """

    emotion: np.ndarray
    coefficients: np.ndarray | None = None


class ReactionGenerator(Protocol):
    """A predictor. ``generate`` is a function of its arguments: the same clip, K and seed give the same numbers, in any order of
    calls. In ``mode`` online, frame t of the answer must not depend on frames of the speaker from t on."""

    @property
    def name(self) -> str: ...

    def generate(self, speaker: SpeakerClip, listener: ListenerHistory | None, k: int, seed: int, mode: Mode) -> Prediction: ...
