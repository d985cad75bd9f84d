"""One clip as the features read it: frames and sound when asked for, and what earlier features found in it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from diffusionrig.errors import RigError
from diffusionrig.io.sound import fit_sound, read_sound
from diffusionrig.reactions.corpus import ClipId, Split
from diffusionrig.reactions.corpus.cropping import usable_length
from diffusionrig.reactions.features.resampling import resample

SOUND_RATE = 44100
"""Hertz at which features hear clips: that of the corpora's sound files."""


class ClipData:
    """``clip`` of ``split``, heard at ``sound_rate`` hertz; ``made`` holds the arrays that features have made of it so far, by key,
    and ``notes`` sentences about it that are no failures."""

    def __init__(self, split: Split, clip: ClipId, sound_rate: int = SOUND_RATE) -> None:
        self.split, self.clip, self.sound_rate = split, clip, sound_rate
        self.made: dict[str, np.ndarray] = {}
        self.notes: list[str] = []

    @property
    def fps(self) -> float:
        return float(self.split.fps)

    def has(self, modality: str) -> bool:
        """Whether the corpus has this of the clip."""
        return self.split.path(modality, self.clip).exists()

    @cached_property
    def length(self) -> int:
        """T: the split's, or where clips have lengths of their own what the clip's video, else its attributes have."""
        if self.split.length is not None:
            return self.split.length
        if self.has("video"):
            return usable_length(len(self.split.frames(self.clip)))
        return len(self.split.emotion(self.clip))

    def frames(self) -> Iterator[np.ndarray]:
        """The T frames, (H, W, 3) uint8."""
        for _, image in zip(range(self.length), self.split.frames(self.clip)):
            yield image

    @cached_property
    def sound(self) -> tuple[np.ndarray, int]:
        """Samples of exactly T frames, (n,) float32 mono in -1..1, and ``sound_rate``; of the video where there is no sound file.

        Features of the same sound at different rates would differ, so all sound is brought to one. RigError when there is no
        sound, or it is more than a frame too short.
        """
        if self.has("audio") or not self.split.path("video", self.clip).is_file():
            samples, rate = self.split.audio(self.clip)
        else:
            video = self.split.path("video", self.clip)
            found = read_sound(video)
            if found is None:
                raise RigError(f"{video} has no sound, and {self.split.path('audio', self.clip)} is absent; add one of them.")
            seconds = self.length / self.fps
            if found.end < seconds - 0.1:
                raise RigError(f"The sound of {video} ends at {found.end:.2f} s, but {self.length} frames take {seconds:.2f} s; "
                               "extract the video again or leave the clip out.")
            fitted, _ = fit_sound(found, seconds)
            samples, rate = fitted.samples.mean(1, dtype=np.float32), fitted.rate
        if rate != self.sound_rate:
            # A sinc rings beyond the samples that it goes through.
            samples, rate = np.clip(resample(samples, rate, self.sound_rate), -1, 1), self.sound_rate
        wanted = round(self.length * rate / self.fps)
        return np.concatenate([samples[:wanted], np.zeros(max(0, wanted - len(samples)), np.float32)]), rate
