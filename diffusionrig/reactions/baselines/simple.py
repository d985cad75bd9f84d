"""Random and mime: reactions that know nothing but the speaker's clip."""

from __future__ import annotations

import dataclasses

import numpy as np

from diffusionrig.randomness import numpy_stream
from diffusionrig.reactions.interface import ATTRIBUTES, ListenerHistory, Mode, Prediction, SpeakerClip


@dataclasses.dataclass(frozen=True)
class Random:
    """Every attribute of every frame uniform in 0..1, as in the published tables (FRDiv = FRDvs = 1/6, FRVar = 1/12)."""

    name: str = "random"

    def generate(self, speaker: SpeakerClip, listener: ListenerHistory | None, k: int, seed: int, mode: Mode) -> Prediction:
        shape = (len(speaker.emotion), ATTRIBUTES)
        return Prediction(np.stack([numpy_stream(seed, "random reaction", speaker.name, sample).random(shape, np.float32)
                                    for sample in range(k)]))


@dataclasses.dataclass(frozen=True)
class Mime:
    """The listener shows what the speaker showed ``lag`` frames ago, all samples alike; until then the speaker's first frame.

    Online the lag is at least one frame, and until then everything is 0.
    """

    lag: int = 0
    name: str = "mime"

    def generate(self, speaker: SpeakerClip, listener: ListenerHistory | None, k: int, seed: int, mode: Mode) -> Prediction:
        lag = max(self.lag, 1) if mode == "online" else self.lag
        made = [None if values is None else np.repeat(_later(values, lag, mode)[None], k, 0)
                for values in (speaker.emotion, speaker.coefficients)]
        assert made[0] is not None
        return Prediction(made[0], made[1])


def _later(values: np.ndarray, lag: int, mode: Mode) -> np.ndarray:
    """``values`` (T, D) delayed by ``lag`` frames."""
    delayed = np.asarray(values, np.float32)[np.maximum(np.arange(len(values)) - lag, 0)]
    if mode == "online":
        delayed[:lag] = 0.0  # before anything was seen there is nothing to show
    return delayed
