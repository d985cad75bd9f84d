"""Settings of PerFRDiff's four phases; the defaults are the published sizes."""

from __future__ import annotations

import dataclasses

from diffusionrig.errors import UsageError
from diffusionrig.settings import setting

CONDITIONS = ("audio", "face", "emotion", "latent", "prior", "past")
"""Tokens that the denoiser may be told, in the order of its memory: the speaker's sound, coefficients and attributes, a frame each;
the speaker's latent, one a window; the listener's latent that the prior made; the attributes of the listener's window before."""
OUTPUT = "output"


@dataclasses.dataclass(frozen=True)
class EmbedderSettings:
    """Two GRU autoencoders of windows: of attributes, and of coefficients."""

    window: int = setting(50, "frames of a window, for all phases")
    audio: int = setting(26, "numbers a frame of the audio feature")
    hidden: int = setting(512, "width of the recurrent networks")
    latent: int = setting(512, "numbers that stand for a window")
    mlp: int = setting(128, "width of the decoder's two last layers")
    kl: float = setting(1e-4, "weight of the divergence from the normal distribution")
    regression: float = setting(1.0, "weight of guessing coefficients from attributes, and attributes from coefficients")
    standardize: bool = setting(False, "bring every channel to mean 0 and deviation 1 first; published: the numbers as they are")

    def __post_init__(self) -> None:
        _positive(self, "embedders", "window", "audio", "hidden", "latent", "mlp")


@dataclasses.dataclass(frozen=True)
class PersonSettings:
    """The encoder of a person's style."""

    width: int = setting(512, "width of the transformer")
    layers: int = setting(4, "its layers")
    heads: int = setting(4, "its attention heads")
    feed_forward: int = setting(1024, "width of its feed-forward layers")
    projection: int = setting(512, "numbers of the code, which has length 1")
    dropout: float = setting(0.1, "share of activations dropped in training")
    summary: bool = setting(False, "tell the class token each coefficient's median and deciles over the clip, which hold a "
                                   "person's neutral face whatever was said")
    temperature: float = setting(0.07, "of the contrastive loss")
    clips: int = setting(4, "clips of each person in a batch")
    frames: int = setting(0, "frames of a clip, cut out at random; 0 for whole clips")

    def __post_init__(self) -> None:
        _positive(self, "person", "width", "layers", "heads", "feed_forward", "projection", "clips")
        _divisible(self.width, self.heads, "person")


@dataclasses.dataclass(frozen=True)
class GeneratorSettings:
    """Prior and denoiser. One window of the listener is made at a time, from ``past`` windows of the speaker before it and, offline
    and when ``present``, from the speaker's window at the same time."""

    width: int = setting(512, "width of the denoiser")
    layers: int = setting(7, "its layers")
    heads: int = setting(4, "its attention heads")
    feed_forward: int = setting(1024, "width of its feed-forward layers")
    dropout: float = setting(0.1, "share of activations dropped in training")
    conditions: str = setting("audio,face,latent", "tokens that exist in the denoiser's memory: " + ", ".join(CONDITIONS))
    audio_scale: float = setting(512 ** -0.5, "factor of the projected sound")
    positions: int = setting(500, "tokens that positions are learnt for")
    past: int = setting(1, "windows of the speaker that are seen before the listener's")
    present: bool = setting(False, "whether the speaker's window at the same time is seen too, offline")
    online: float = setting(1.0, "share of the training examples in which the present window is hidden")
    drop: float = setting(0.2, "probability with which each condition is replaced by zeros in training")
    appropriate: int = setting(10, "listeners that suit the speaker, learnt from at once")
    guidance: float = setting(7.5, "how far to go beyond what is made without conditions; 1 for none")
    steps: int = setting(50, "denoising steps of a sample")
    clip: float = setting(1.0, "largest size of a predicted attribute, in the units of training")
    prior: bool = setting(True, "whether a prior of the listener's latent is trained")
    prior_depth: int = setting(4, "layers of the prior")
    prior_heads: int = setting(8, "its attention heads")
    prior_head: int = setting(64, "width of each")
    prior_guidance: float = setting(1.0, "guidance of the prior; above 1 it is trained without conditions now and then")
    prior_weight: float = setting(1.0, "weight of the prior's loss")
    compat: bool = setting(False, "as published: windows stand for their last recurrent state, which the decoders never saw, the "
                                  "prior is clipped to 1, and the last denoising step changes nothing, so that noise of 0.0064 "
                                  "stays")

    def __post_init__(self) -> None:
        _positive(self, "generator", "width", "layers", "heads", "feed_forward", "past", "appropriate", "steps", "prior_depth",
                  "prior_heads", "prior_head")
        _divisible(self.width, self.heads, "generator")
        unknown = [name for name in self.names if name not in CONDITIONS]
        if unknown or not self.names or len(set(self.names)) < len(self.names):
            raise UsageError(f"generator.conditions is {self.conditions!r}; name some of {', '.join(CONDITIONS)}, each once, with "
                             "commas between.")
        if "prior" in self.names and not self.prior:
            raise UsageError("generator.conditions names the prior's latent, but generator.prior is False; set it True or drop the "
                             "name.")
        if 1000 % self.steps:
            raise UsageError(f"generator.steps is {self.steps}, but it must divide 1000.")
        if self.width % 2:
            raise UsageError(f"generator.width is {self.width}, but it must be even.")

    @property
    def names(self) -> tuple[str, ...]:
        """The conditions in the order of the memory; unknown ones last."""
        given = [name.strip() for name in self.conditions.split(",") if name.strip()]
        return tuple(sorted(given, key=lambda name: CONDITIONS.index(name) if name in CONDITIONS else len(CONDITIONS)))

    @property
    def windows(self) -> int:
        """Windows of the speaker in view."""
        return self.past + self.present


@dataclasses.dataclass(frozen=True)
class PersonalSettings:
    """The network that turns a person's code into shifts of the denoiser's weights."""

    kind: str = setting("lowrank", "lowrank: a product of two thin matrices, zero at the start; full: every weight, as published")
    rank: int = setting(16, "rank of lowrank")
    hidden: int = setting(1024, "width of the shared layers")
    shared: int = setting(2, "number of shared layers")
    edited: str = setting("4.cross,6.cross,output", "what is shifted: N.cross, the cross-attention of layer N, and output")
    summary: bool = setting(False, "tell it the medians of the person's coefficients and attributes beside the code")
    history: int = setting(4, "clips of a person that a code is averaged over in training, at most")
    penalty: float = setting(0.0, "weight of the mean square of the shifts")

    def __post_init__(self) -> None:
        _positive(self, "personal", "rank", "hidden", "shared", "history")
        if self.kind not in ("lowrank", "full"):
            raise UsageError(f"personal.kind is {self.kind!r}; choose lowrank or full.")

    def layers(self, count: int) -> tuple[str, ...]:
        """What is shifted; UsageError when a denoiser of ``count`` layers has no such part."""
        names = tuple(name.strip() for name in self.edited.split(",") if name.strip())
        known = [*(f"{index}.cross" for index in range(count)), OUTPUT]
        for name in names:
            if name not in known:
                raise UsageError(f"personal.edited names {name!r}; choose from {', '.join(known)}.")
        if not names:
            raise UsageError(f"personal.edited is empty; name some of {', '.join(known)}.")
        return names


def _positive(settings: object, section: str, *names: str) -> None:
    for name in names:
        if getattr(settings, name) < 1:
            raise UsageError(f"{section}.{name} must be 1 or more, not {getattr(settings, name)}.")


def _divisible(width: int, heads: int, section: str) -> None:
    if width % heads:
        raise UsageError(f"{section}.width is {width}, which {section}.heads {heads} does not divide.")
