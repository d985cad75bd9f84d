"""Rows to read a table by: what the listeners really did. They look at the answers, so they are no predictors of anything."""

from __future__ import annotations

import numpy as np

from diffusionrig.errors import UsageError
from diffusionrig.randomness import numpy_stream
from diffusionrig.reactions.corpus import ClipId, Split
from diffusionrig.reactions.interface import ListenerHistory, Mode, Prediction, SpeakerClip

KINDS = ("ground_truth", "appropriate", "inappropriate")


class Reference:
    """ground_truth   the listener's own reaction, K times
    appropriate    K reactions of listeners that suit the speaker, drawn without repetition while there are enough
    inappropriate  K reactions of listeners that do not
    """

    def __init__(self, split: Split, name: str) -> None:
        if name not in KINDS:
            raise UsageError(f"There is no reference {name!r}; choose from {', '.join(KINDS)}.")
        self.name, self._split = name, split
        self._index = {str(item.speaker): item.index for item in split.items}
        self._faces = split.path("coefficients", split.items[0].listener).is_file()

    def generate(self, speaker: SpeakerClip, listener: ListenerHistory | None, k: int, seed: int, mode: Mode) -> Prediction:
        index = self._index.get(speaker.name)
        if index is None:
            raise UsageError(f"{speaker.name} is not a speaker of the split {self._split.name}, so its listener is not known.")
        listeners = [self._split.items[j].listener for j in self._chosen(index, speaker.name, k, seed)]
        emotion = self._stack([self._split.emotion(clip) for clip in listeners], listeners)
        faces = self._stack([self._split.coefficients(clip) for clip in listeners], listeners) if self._faces else None
        return Prediction(emotion, faces)

    def _chosen(self, index: int, name: str, k: int, seed: int) -> list[int]:
        if self.name == "ground_truth":
            return [index] * k
        suits = self._split.matrix()[index]
        among = np.flatnonzero(suits if self.name == "appropriate" else ~suits)
        if not len(among):
            raise UsageError(f"Every listener suits {name}, so there is no inappropriate reaction to show.")
        draw = numpy_stream(seed, "reference reaction", self.name, name)
        return [int(among[i]) for start in range(0, k, len(among)) for i in draw.permutation(len(among))[:k - start]]

    @staticmethod
    def _stack(arrays: list[np.ndarray], clips: list[ClipId]) -> np.ndarray:
        if len({len(array) for array in arrays}) > 1:
            raise UsageError(f"{clips[0]} and others differ in length; give --length to cut all clips.")
        return np.stack(arrays).astype(np.float32)
