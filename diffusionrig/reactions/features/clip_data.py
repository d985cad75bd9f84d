"""One clip as the features read it: frames and sound when asked for, and what earlier features found in it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from diffusionrig.errors import RigError
from diffusionrig.io.sound import fit_sound, read_sound
from diffusionrig.reactions.corpus import ClipId, Split
from diffusionrig.reactions.corpus.cropping import usable_length


class ClipData:
    """``clip`` of ``split``; ``made`` holds the arrays that features have made of it so far, by key."""

    def __init__(self, split: Split, clip: ClipId) -> None:
        self.split, self.clip = split, clip
        self.made: dict[str, np.ndarray] = {}

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
        """Samples of exactly T frames, (n,) float32 mono in -1..1, and the rate; of the video where there is no sound file.

        RigError when there is no sound, or it is more than a frame too short.
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
        wanted = round(self.length * rate / self.fps)
        return np.concatenate([samples[:wanted], np.zeros(max(0, wanted - len(samples)), np.float32)]), rate
