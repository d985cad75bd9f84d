"""Settings of the phases."""

from __future__ import annotations

import dataclasses

from diffusionrig.errors import UsageError
from diffusionrig.reactions.generators.unifr.inputs import OWN, PREPARED
from diffusionrig.reactions.generators.unifr.network import Sizes
from diffusionrig.reactions.generators.unifr.objectives import OBJECTIVES
from diffusionrig.reactions.generators.unifr.sampling import Decoding
from diffusionrig.settings import setting


@dataclasses.dataclass(frozen=True)
class Pretrain:
    """The transformer, its vocabulary, its objectives, and how words are drawn unless asked otherwise."""

    inputs: str = setting("own", "own: attributes, coefficients and log-mel energies; prepared: UniFR's h5 files")
    prepared: str = setting("", "folder of train_shuffled.h5 and its like, for prepared inputs")
    AU_size: int = setting(PREPARED["AU"], "numbers a frame of prepared action-unit maps: 25088, or 512 when pooled over places")
    vocabulary: str = setting("", "folder of the published vocabularies; without one they are built from the training split")
    AU_words: int = setting(5976, "action-unit words at most")
    exp_words: int = setting(8000, "expression words at most")
    VA_words: int = setting(2710, "words of valence and arousal at most")
    VA_bins: int = setting(80, "cells on a side of the grid of valence and arousal")
    width: int = setting(768, "width of the transformer")
    layers: int = setting(8, "blocks")
    heads: int = setting(12, "attention heads")
    dropout: float = setting(0.1, "of embeddings, attention and residuals")
    init: float = setting(0.02, "deviation of new weights")
    online_step: int = setting(1, "frames of a chunk, online")
    delay: int = setting(-1, "frames by which the speaker is seen later, online; -1: online_step, so that no frame depends on what "
                             "the speaker shows at it or after it; as published 0")
    context: int = setting(0, "frames seen while learning causally, up to the end of a chunk; 0 for all")
    objectives: str = setting("matching masked causal", "what is learned")
    matching: float = setting(1.0, "share of the examples that are matched")
    focus: float = setting(0.2, "share of all words that count in the masked objective beside the masked ones")
    checkpointing: bool = setting(False, "compute activations again in the backward pass: less memory, a third slower")
    leak: bool = setting(False, "as published, causal training sees the words it is to find; for comparison only")
    compat: bool = setting(False, "defects that published figures depend on: valence and arousal half a cell too high, unknown "
                                  "words become word 0, equally certain words stay hidden, positions restart in windows")
    offline: str = setting("steps 8 temperature 0.912-0.08 top_k 5 top_p 0.05+0.1", "decoding offline; a+b: sample i takes a + b i")
    online: str = setting("temperature 1 top_k 0 top_p 0.33", "decoding online")

    def __post_init__(self) -> None:
        check(self.objectives, self.offline, self.online)
        if self.inputs not in ("own", "prepared"):
            raise UsageError(f"inputs {self.inputs} do not exist; choose own or prepared.")
        if self.width % self.heads:
            raise UsageError(f"A width of {self.width} cannot be divided among {self.heads} heads.")
        for name in ("online_step", "layers", "heads", "AU_words", "exp_words", "VA_words", "VA_bins"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be 1 or more, not {getattr(self, name)}.")
        if not 0 < self.matching <= 1 or not 0 <= self.focus <= 1 or not 0 <= self.dropout < 1:
            raise UsageError("matching, focus and dropout are shares; matching must be above 0 and dropout below 1.")

    @property
    def shift(self) -> int:
        """``delay`` in frames."""
        return self.online_step if self.delay < 0 else self.delay

    def sizes(self, words: dict[str, int]) -> Sizes:
        """Of the network with a vocabulary of so many words."""
        inputs = OWN if self.inputs == "own" else {**PREPARED, "AU": self.AU_size}
        return Sizes(words, inputs, self.width, self.layers, self.heads, self.dropout, self.init)


@dataclasses.dataclass(frozen=True)
class Finetune:
    """A pretrained transformer goes on with fewer objectives; all else stays."""

    objectives: str = setting("matching masked", "what is learned")
    offline: str = setting("steps 1 temperature 0.33 top_k 5", "decoding offline")
    online: str = setting("temperature 1 top_k 0 top_p 0.33", "decoding online")

    def __post_init__(self) -> None:
        check(self.objectives, self.offline, self.online)


def check(objectives: str, *decodings: str) -> None:
    """UsageError when an objective or a decoding does not exist."""
    words = objectives.split()
    for word in words or ["nothing"]:
        if word not in OBJECTIVES:
            raise UsageError(f"The objectives name {word!r}; choose from {', '.join(OBJECTIVES)}.")
    for text in decodings:
        Decoding.parse(text)


@dataclasses.dataclass(frozen=True)
class Coefficients:
    """The network from attributes to coefficients."""

    shortest: int = setting(16, "frames of the shortest stretch it learns from; stretches end anywhere, as windows do online")
