"""Every choice that shapes the network, with the published flag names and defaults."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from diffusionrig.errors import UsageError
from diffusionrig.settings import from_mapping, setting

GROUPS = 32  # of every GroupNorm in the published networks
IMAGE_CHANNELS = 3
MOST_LEVELS, MOST_TIMES = 16, 256

DEFAULT_MULTIPLIERS: dict[int, tuple[float, ...]] = {
    64: (1, 2, 3, 4),
    128: (1, 1, 2, 3, 4),
    256: (1, 1, 2, 2, 4, 4),
    512: (0.5, 1, 1, 2, 2, 4, 4),
}
ENCODER_TYPES = ("resnet18", "resnet50", "none")
CONDITIONS = ("buffers", "reference")

REFERENCE_CHANNELS = 21
"""Of the reference condition; their order is that of ``render.condition``."""
PICTURE, CONFIDENCE, CHANGE = slice(0, 3), slice(3, 4), slice(4, 5)
"""Where in it the carried photograph lies, how sure that is (-1..1), and the share by which a result may differ from it (0..1)."""


@dataclass(frozen=True)
class ModelConfig:
    """Settings of :class:`diffusionrig.model.network.DiffusionRig`; a wrong combination raises UsageError at once."""

    image_size: int = setting(256, "side of the square image in pixels: 64, 128, 256, 512, or any with --channel_mult")
    num_channels: int = setting(128, "base number of feature channels, a multiple of --norm_groups once multiplied")
    num_res_blocks: int = setting(2, "residual blocks per resolution")
    num_heads: int = setting(1, "attention heads")
    num_heads_upsample: int = setting(-1, "attention heads of the decoder; -1 for the same as --num_heads")
    num_head_channels: int = setting(-1, "channels per attention head; overrides the number of heads unless -1")
    attention_resolutions: str = setting("16", "feature map sizes that get attention, comma separated")
    channel_mult: str = setting("", "channel multiplier of each resolution from the top, comma separated, fractions "
                                    "allowed; empty for the usual ones of the image size")
    dropout: float = setting(0.1, "share of features dropped in each residual block while training")
    use_checkpoint: bool = setting(False, "recompute each block in the backward pass: less memory, about a third "
                                          "more time")
    norm_groups: int = setting(GROUPS, "groups of every GroupNorm, 32 as published; networks of 32 channels learn far faster "
                                       "with 8, because groups of one channel forget every channel's mean")
    use_scale_shift_norm: bool = setting(True, "condition by scale and shift after the norm; False adds instead")
    resblock_updown: bool = setting(True, "change resolution inside residual blocks; False uses plain convolutions")
    use_new_attention_order: bool = setting(False, "split query, key and value before the heads; matters only with "
                                                   "several heads")
    latent_dim: int = setting(64, "length of the global latent code of the photograph")
    in_channels: int = setting(12, "channels that enter the UNet: 3 of the noisy image, the rest physical buffers")
    encoder_type: str = setting("resnet18", "network that makes the global latent code: resnet18, resnet50, or none")
    condition: str = setting("buffers", "what is drawn from: buffers, as published, or reference, the source photograph carried by "
                                        "the mesh, on which the network then draws what is missing")
    patch: int = setting(1, "side of the patches that the UNet sees as one position, 1 for pixels; a convolutional head finishes "
                            "at full resolution")
    learn_sigma: bool = setting(False, "predict the variance of each step too (3 more output channels)")

    def __post_init__(self) -> None:
        for name in ("image_size", "num_channels", "num_res_blocks", "num_heads", "latent_dim", "norm_groups", "patch"):
            _require(getattr(self, name) >= 1, f"--{name} must be 1 or more, not {getattr(self, name)}")
        for name in ("num_heads_upsample", "num_head_channels"):
            value = getattr(self, name)
            _require(value == -1 or value >= 1, f"--{name} must be -1 or at least 1, not {value}")
        _require(0 <= self.dropout < 1, f"--dropout must lie in [0, 1), not {self.dropout}")
        _require(self.in_channels > IMAGE_CHANNELS,
                 f"--in_channels {self.in_channels} leaves no room for physical buffers; use 12")
        _require(self.encoder_type in ENCODER_TYPES,
                 f"--encoder_type {self.encoder_type!r} is unknown; choose {' or '.join(ENCODER_TYPES)}")
        _require(self.patch == 1 or self.patch % 2 == 0, f"--patch must be 1 or even, not {self.patch}")
        _require(self.condition in CONDITIONS,
                 f"--condition {self.condition!r} is unknown; choose {' or '.join(CONDITIONS)}")
        _require(self.condition == "reference" or self.encoder_type != "none",
                 "--encoder_type none leaves the buffers without the person; it belongs to --condition reference")
        _require(self.condition == "buffers" or not self.learn_sigma,
                 "--learn_sigma True has no meaning for --condition reference, which predicts the clean image; leave it out")
        self._check_plan()

    def _check_plan(self) -> None:
        _require(len(self.multipliers) <= MOST_LEVELS,
                 f"--channel_mult has {len(self.multipliers)} values, but a network has at most {MOST_LEVELS} resolutions")
        deepest = self.patch * 2 ** (len(self.multipliers) - 1)
        _require(self.image_size % deepest == 0,
                 f"--image_size {self.image_size} cannot be halved {len(self.multipliers) - 1} times, as the "
                 f"{len(self.multipliers)} values of --channel_mult ask"
                 f"{f' of patches of {self.patch}' if self.patch > 1 else ''}; use a multiple of {deepest}")
        factors, last = self.attention_factors, len(self.multipliers) - 1
        for level, (multiplier, channels) in enumerate(zip(self.multipliers, self.level_channels)):
            _require(channels > 0 and channels % self.norm_groups == 0,
                     f"--num_channels {self.num_channels} times the multiplier {multiplier:g} gives {channels} "
                     f"channels, which is not a multiple of {self.norm_groups}; change --num_channels or --channel_mult")
            if level == last or self.patch * 2**level in factors:
                self._check_heads(channels)

        # A group of one channel loses any constant added before its norm, and with it the time and the latent.
        _require(self.use_scale_shift_norm or max(self.level_channels) > self.norm_groups,
                 f"--use_scale_shift_norm False has no effect on groups of one channel; use more than {self.norm_groups} channels")

    def _check_heads(self, channels: int) -> None:
        if self.num_head_channels != -1:
            _require(channels % self.num_head_channels == 0,
                     f"--num_head_channels {self.num_head_channels} does not divide the {channels} channels of an "
                     "attention block")
            return
        for name, heads in (("num_heads", self.num_heads), ("num_heads_upsample", self.decoder_heads)):
            _require(channels % heads == 0,
                     f"--{name} {heads} does not divide the {channels} channels of an attention block")

    @property
    def multipliers(self) -> tuple[float, ...]:
        """Channel multiplier of each level, full resolution first."""
        if self.channel_mult.strip():
            try:
                values = tuple(float(word) for word in self.channel_mult.split(","))
            except ValueError:
                raise UsageError(f"--channel_mult {self.channel_mult!r} is not a comma separated list of numbers "
                                 "such as 0.5,1,1,2") from None
            _require(all(0 < value <= MOST_TIMES for value in values),
                     f"--channel_mult {self.channel_mult[:60]!r} must hold numbers above zero, at most {MOST_TIMES}")
            return values
        if self.image_size not in DEFAULT_MULTIPLIERS:
            known = ", ".join(str(size) for size in DEFAULT_MULTIPLIERS)
            raise UsageError(f"--image_size {self.image_size} has no usual channel plan (only {known} have); "
                             "give --channel_mult, for instance 1,2,3,4")
        return DEFAULT_MULTIPLIERS[self.image_size]

    @property
    def level_channels(self) -> tuple[int, ...]:
        """Feature channels of each level, full resolution first."""
        return tuple(int(multiplier * self.num_channels) for multiplier in self.multipliers)

    @property
    def attention_factors(self) -> frozenset[int]:
        """Downsampling factors at which blocks get attention. Sizes that the network never has are ignored."""
        try:
            sizes = [int(word) for word in self.attention_resolutions.split(",") if word.strip()]
        except ValueError:
            sizes = [0]
        _require(all(size > 0 for size in sizes),
                 f"--attention_resolutions {self.attention_resolutions!r} is not a comma separated list of sizes "
                 "such as 32,16")
        return frozenset(self.image_size // size for size in sizes)

    @property
    def decoder_heads(self) -> int:
        """Attention heads of the decoder."""
        return self.num_heads if self.num_heads_upsample == -1 else self.num_heads_upsample

    @property
    def condition_channels(self) -> int:
        """Channels of the condition."""
        return REFERENCE_CHANNELS if self.condition == "reference" else self.in_channels - IMAGE_CHANNELS

    @property
    def input_channels(self) -> int:
        """Channels that enter the UNet: the noisy image and the condition."""
        return IMAGE_CHANNELS + self.condition_channels

    @property
    def out_channels(self) -> int:
        """Channels that leave the UNet: noise, and with ``learn_sigma`` as many again for the variance."""
        return IMAGE_CHANNELS * (2 if self.learn_sigma else 1)

    def to_dict(self) -> dict[str, Any]:
        """Plain values by flag name, fit for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: str = "the model configuration") -> ModelConfig:
        """The inverse of :meth:`to_dict`; absent keys keep their defaults, unknown ones raise UsageError."""
        return from_mapping(cls, values, source)


def _require(condition: bool, sentence: str) -> None:
    if not condition:
        raise UsageError(sentence)
