"""Training examples: which speaker, which of the reactions that suit it, which stretch; functions of (seed, sample) alone."""

from __future__ import annotations

import dataclasses

import numpy as np

from diffusionrig.data.sampling import record_of
from diffusionrig.errors import UsageError
from diffusionrig.randomness import numpy_stream
from diffusionrig.reactions.corpus import Item, Split
from diffusionrig.reactions.generators.clips import Clip, Clips
from diffusionrig.settings import setting


@dataclasses.dataclass(frozen=True)
class DataSettings:
    """What is shown of a corpus while training."""

    split: str = setting("train", "train, val or test")
    frames: int = setting(0, "frames of an example, cut out at random; 0 for whole clips")
    appropriate: float = setting(0.5, "share of examples whose target is the reaction of another listener that suits the speaker")
    audio: bool = setting(True, "whether the speaker is heard; False for corpora without sound")
    cache_megabytes: int = setting(1024, "clips kept in memory")

    def __post_init__(self) -> None:
        if not 0 <= self.appropriate <= 1:
            raise UsageError(f"data.appropriate is a share in 0..1, not {self.appropriate:g}.")
        if self.frames < 0:
            raise UsageError(f"data.frames must not be negative, but is {self.frames}.")


@dataclasses.dataclass(frozen=True)
class Example:
    """item      the directed item whose speaker is seen
    target    the item whose listener's reaction is to be made: ``item`` itself or one that suits its speaker
    start     first frame of the stretch
    speaker, listener  what both show in it
    """

    item: Item
    target: Item
    start: int
    speaker: Clip
    listener: Clip


class Examples:
    """Examples of a split, by sample number."""

    def __init__(self, split: Split, settings: DataSettings, seed: int = 0) -> None:
        self.split, self.settings, self.seed = split, settings, seed
        self.clips = Clips(split, settings.audio, float(settings.cache_megabytes))

    def __len__(self) -> int:
        return len(self.split)

    def draw(self, sample: int, frames: int | None = None) -> Example:
        """The example shown as number ``sample``; ``frames`` overrides the settings (0: the whole clip).

        UsageError when a clip is shorter.
        """
        stream = numpy_stream("reaction example", self.seed, sample)
        item = self.split.items[record_of(self.seed, sample, len(self.split))]
        target = self.target_of(item, stream)
        speaker, listener = self.clips(item.speaker), self.clips(target.listener)
        usable = min(len(speaker), len(listener))
        wanted = (self.settings.frames if frames is None else frames) or usable
        if wanted > usable:
            raise UsageError(f"{item.speaker} has {usable} frames, but examples of {wanted} were asked for; set data.frames lower.")
        start = int(stream.integers(usable - wanted + 1))
        return Example(item, target, start, speaker.part(start, wanted), listener.part(start, wanted))

    def target_of(self, item: Item, stream: np.random.Generator) -> Item:
        """``item`` itself or, with the probability set, any item whose listener suits its speaker."""
        if stream.random() >= self.settings.appropriate:
            return item
        return self.split.items[int(stream.choice(self.split.neighbours(item.index)))]
