"""Clips as the generators read them: attributes, coefficients about the mean face, speech; kept in memory as long as they fit."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict

import numpy as np
import torch
from torch import Tensor

from diffusionrig.errors import RigError, UsageError
from diffusionrig.reactions.corpus import ClipId, Split
from diffusionrig.reactions.features.logmel import BANDS, log_mel
from diffusionrig.reactions.interface import COEFFICIENTS, ListenerHistory, SpeakerClip

AUDIO = "logmel26"
"""Name of the audio feature (T, 26) in ``SpeakerClip.audio`` that every generator reads."""


@dataclasses.dataclass(frozen=True)
class Clip:
    """emotion (T, 25), coefficients (T, 58) less the mean face, audio (T, 26); float32."""

    emotion: Tensor
    coefficients: Tensor
    audio: Tensor

    def __len__(self) -> int:
        return len(self.emotion)

    def part(self, start: int, length: int) -> Clip:
        """Frames ``start`` to ``start + length``, which must be there."""
        rows = slice(start, start + length)
        return Clip(self.emotion[rows], self.coefficients[rows], self.audio[rows])

    @property
    def megabytes(self) -> float:
        return sum(tensor.nbytes for tensor in (self.emotion, self.coefficients, self.audio)) / 1e6


class Clips:
    """Reads clips of a split; the most recent ``megabytes`` of them stay in memory. Without ``audio`` silence stands for it."""

    def __init__(self, split: Split, audio: bool = True, megabytes: float = 1024.0) -> None:
        self.split, self.audio, self.megabytes = split, audio, megabytes
        mean = split.mean_face
        self.mean_face = torch.zeros(COEFFICIENTS) if mean is None else torch.from_numpy(mean.copy())
        self._held: OrderedDict[ClipId, Clip] = OrderedDict()
        self._size = 0.0

    def __call__(self, clip: ClipId) -> Clip:
        """RigError or UsageError, naming the file, when something of the clip is missing or damaged."""
        if clip in self._held:
            self._held.move_to_end(clip)
            return self._held[clip]
        read = self._read(clip)
        self._held[clip] = read
        self._size += read.megabytes
        while self._size > self.megabytes and len(self._held) > 1:
            self._size -= self._held.popitem(last=False)[1].megabytes
        return read

    def _read(self, clip: ClipId) -> Clip:
        emotion = torch.from_numpy(self.split.emotion(clip))
        coefficients = torch.from_numpy(self.split.coefficients(clip))
        length = min(len(emotion), len(coefficients))
        audio = torch.zeros(length, BANDS)
        if self.audio:
            heard = torch.from_numpy(log_mel(*self.split.audio(clip), fps=self.split.fps))
            if len(heard) < length:
                raise RigError(f"The sound of {clip} has {len(heard)} frames, but {length} are needed; extract it again or set "
                               "data.audio False.")
            audio = heard[:length]
        return Clip(emotion[:length], coefficients[:length] - self.mean_face, audio)

    def speaker(self, clip: ClipId) -> SpeakerClip:
        """What a generator is told about the speaker: absolute coefficients, as on disk."""
        read = self(clip)
        return SpeakerClip(str(clip), read.emotion.numpy(), self._absolute(clip), {AUDIO: read.audio.numpy()} if self.audio else {})

    def history(self, clip: ClipId) -> ListenerHistory:
        """The other clips of the person in ``clip``: of the same session and role, in the split's order."""
        others = self.others(clip)
        return ListenerHistory(person_of(clip), [self(other).emotion.numpy() for other in others],
                               [self._absolute(other) for other in others])

    def _absolute(self, clip: ClipId) -> np.ndarray:
        """Coefficients (T, 58) to the bit as on disk: the mean face taken off and put back would round them."""
        return self.split.coefficients(clip)[:len(self(clip))]

    def stranger(self, clip: ClipId) -> ListenerHistory:
        """The history of another person: of the next listener in the split's order. UsageError when there is none."""
        listeners = [item.listener for item in self.split.items]
        after = listeners[listeners.index(clip):] + listeners
        other = next((one for one in after if person_of(one) != person_of(clip)), None)
        if other is None:
            raise UsageError(f"{self.split.name} shows one listener only; there is no other history to take.")
        return self.history(other)

    def others(self, clip: ClipId) -> list[ClipId]:
        """Ids of the other clips of the person in ``clip``, in the split's order."""
        return [item.listener for item in self.split.items
                if person_of(item.listener) == person_of(clip) and item.listener != clip]


def person_of(clip: ClipId) -> str:
    """Who is seen: a participant stays the same within a session."""
    return f"{clip.site}/{clip.session}/{clip.role}"
