"""Settings of FaceAIS's three phases."""

from __future__ import annotations

import math
from dataclasses import dataclass

from diffusionrig.errors import UsageError
from diffusionrig.reactions.generators.faceais.blocks import Build
from diffusionrig.reactions.generators.faceais.quantizers import KINDS, LEAST_LEVELS
from diffusionrig.settings import setting

ERRORS = ("absolute", "squared")
SOUNDS = {"logmel26": (26, 1), "wav2vec2": (512, 2)}
"""Sound features by name: numbers in a vector, vectors a frame."""


@dataclass(frozen=True)
class TokenizerSettings:
    """The face tokenizer: 58 coefficients of each frame to a token and back, a block of frames at a time."""

    block: int = setting(32, "frames that are encoded and decoded together")
    width: int = setting(252, "channels")
    layers: int = setting(12, "blocks of the encoder and of each of the two decoders")
    heads: int = setting(12, "attention heads")
    dropout: float = setting(0.1, "dropout of what is added to a stream")
    attention_dropout: float = setting(0.0, "dropout of attention weights (published: 0.1); slow on CPUs")
    quantizer: str = setting("fsq", "fsq, or vq and lfq (extra 'quantizers')")
    levels: str = setting("8,5,5,5", "levels of fsq; their product is the number of tokens")
    codebook: int = setting(2048, "tokens of vq and lfq")
    quantizer_weight: float = setting(1.0, "weight of the codebook's own loss")
    error: str = setting("absolute", "how a reconstruction is judged: absolute (published) or squared, which learns faster")
    emotion_weight: float = setting(1.0, "weight of the loss of attributes beside that of coefficients")
    frames: int = setting(0, "frames of an example, cut out at random; 0: as data.frames says")
    init: float = setting(0.02, "deviation of new weights")

    def __post_init__(self) -> None:
        _check_transformer("tokenizer", self.width, self.heads, self.layers, self.dropout, self.attention_dropout)
        if self.quantizer not in KINDS:
            raise UsageError(f"tokenizer.quantizer {self.quantizer} does not exist; choose from {', '.join(KINDS)}.")
        if self.error not in ERRORS:
            raise UsageError(f"tokenizer.error {self.error} does not exist; choose from {', '.join(ERRORS)}.")
        if self.block < 1 or self.frames < 0:
            raise UsageError("tokenizer.block must be 1 or more and tokenizer.frames not negative.")
        if self.quantizer == "lfq" and not math.log2(self.codebook).is_integer():
            raise UsageError(f"tokenizer.codebook must be a power of two for lfq, not {self.codebook}.")
        if min(self.level_list) < LEAST_LEVELS:
            raise UsageError(f"tokenizer.levels {self.levels}: every number must be {LEAST_LEVELS} or more; of two levels one "
                             "would hardly ever be taken.")

    @property
    def build(self) -> Build:
        return Build(self.width, self.heads, False, self.dropout, self.attention_dropout)

    @property
    def level_list(self) -> tuple[int, ...]:
        try:
            return tuple(int(level) for level in self.levels.split(","))
        except ValueError:
            raise UsageError(f"tokenizer.levels {self.levels!r} is no list of whole numbers such as 8,5,5,5.") from None

    @property
    def tokens(self) -> int:
        """How many tokens there are."""
        return math.prod(self.level_list) if self.quantizer == "fsq" else self.codebook


@dataclass(frozen=True)
class EmotionSettings:
    """The second phase of the tokenizer: everything rests but the decoder of attributes. Published: the last fifth of training."""

    frames: int = setting(0, "frames of an example, cut out at random; 0: as data.frames says")


@dataclass(frozen=True)
class PredictorSettings:
    """The predictor of the listener's tokens, a patch of frames at a time."""

    patch: int = setting(32, "frames predicted together; a multiple of the tokenizer's block")
    context: int = setting(256, "frames of the past that an attention sees")
    width: int = setting(360, "channels")
    layers: int = setting(8, "blocks of each of the six stacks")
    heads: int = setting(12, "attention heads")
    dropout: float = setting(0.1, "dropout of what is added to a stream")
    attention_dropout: float = setting(0.0, "dropout of attention weights (published: 0.1); slow on CPUs")
    gate: float = setting(0.0, "where the gates of cross attention begin")
    init: float = setting(0.02, "deviation of new weights")
    sound: str = setting("logmel26", "what is heard: logmel26, or wav2vec2 (512 numbers, twice a frame)")
    past_mask: float = setting(0.5, "share of training examples in which a random length of the beginning is hidden")
    mask_speaker: bool = setting(True, "whether the speaker's beginning is hidden with the listener's")
    offline: float = setting(0.5, "share of training examples that see all of the speaker, for mode offline; 0: none")
    top_k: int = setting(512, "tokens that may be drawn; 0 for all")
    temperature: float = setting(1.0, "divides the logits before a token is drawn")
    steps: int = setting(1, "draws by which a patch is filled, most certain tokens first; 1: all frames at once, as published")
    vocabulary: int = setting(0, "with compat, rows of the tables besides the special ones (published: 2048); 0: one a token")
    compat: bool = setting(False, "the published network and window, with what its numbers depend on (see published.py)")

    def __post_init__(self) -> None:
        _check_transformer("predictor", self.width, self.heads, self.layers, self.dropout, self.attention_dropout)
        if not self.compat and (self.width // self.heads) % 2:
            raise UsageError(f"predictor.width must be an even multiple of predictor.heads, but they are {self.width} and "
                             f"{self.heads}.")
        if self.sound not in SOUNDS:
            raise UsageError(f"predictor.sound {self.sound} does not exist; choose from {', '.join(SOUNDS)}.")
        if self.patch < 1 or self.context < self.patch or self.context % self.patch:
            raise UsageError(f"predictor.context must be a multiple of predictor.patch, but they are {self.context} and "
                             f"{self.patch}.")
        for name in ("past_mask", "offline"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"predictor.{name} is a share in 0..1, not {getattr(self, name):g}.")
        if self.top_k < 0 or self.temperature <= 0 or self.steps < 1 or self.vocabulary < 0:
            raise UsageError("predictor.top_k and vocabulary must not be negative, temperature above 0 and steps 1 or more.")
        if self.compat and self.steps > 1:
            raise UsageError("predictor.steps above 1 needs the drafts of our own network; set predictor.compat False.")

    @property
    def build(self) -> Build:
        return Build(self.width, self.heads, True, self.dropout, self.attention_dropout)


def _check_transformer(section: str, width: int, heads: int, layers: int, *dropouts: float) -> None:
    if heads < 1 or layers < 1 or width < 1 or width % heads:
        raise UsageError(f"{section}.width must be a multiple of {section}.heads, but they are {width} and {heads}.")
    if not all(0 <= dropout < 1 for dropout in dropouts):
        raise UsageError(f"{section}.dropout and attention_dropout must lie in [0, 1).")
