"""Dataclasses of settings: every field has a default and a sentence of help; built from plain dicts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from diffusionrig.errors import UsageError
from diffusionrig.shown import one_line

Settings = TypeVar("Settings")


_LARGEST = 1 << 1000
_DEEP, _WIDE, _LONG = 128, 1 << 14, 1 << 20
_DEPTHS = ("layers", "num_res_blocks", "prior_depth", "shared")
_WIDTHS = ("width", "hidden", "latent", "mlp", "feed_forward", "projection", "num_channels", "latent_dim", "heads", "num_heads",
           "num_heads_upsample", "num_head_channels", "prior_heads", "prior_head", "rank", "person", "norm_groups", "in_channels",
           "image_size", "patch", "block", "window", "past", "online_step")
_LENGTHS = ("positions", "context", "memory", "codebook", "vocabulary", "AU_size", "AU_words", "exp_words", "VA_words", "VA_bins",
            "diffusion_steps", "top_k", "appropriate", "audio")
MOST = {**dict.fromkeys(_DEPTHS, _DEEP), **dict.fromkeys(_WIDTHS, _WIDE), **dict.fromkeys(_LENGTHS, _LONG)}
"""Largest values of whole numbers that decide how much is built: the description of a model may come from anybody, and is believed
only as far as a machine could build it. -1, which stands for a default, is the smallest."""


def setting(default: Any, help: str) -> Any:
    """A dataclass field with its default and the sentence that ``--help`` shows."""
    return dataclasses.field(default=default, metadata={"help": help})


def from_mapping(kind: type[Settings], values: Mapping[str, Any], source: str) -> Settings:
    """Build the settings dataclass ``kind`` from ``values``; absent keys keep their defaults.

    ``source`` says where the values come from, for the errors: unknown keys and values of the wrong type are named by
    :class:`UsageError`.
    """
    if not isinstance(values, Mapping):
        raise UsageError(f"{source} has {type(values).__name__} where the settings of {kind.__name__} are needed.")
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(str(name) for name in set(values) - set(fields))
    if unknown:
        raise UsageError(f"{source} has settings that {kind.__name__} does not know: {one_line(', '.join(unknown[:8]))}; "
                         f"it knows {', '.join(fields)}")
    clean = {}
    for name, value in values.items():
        wanted = type(fields[name].default)
        if wanted is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(min(max(value, -_LARGEST), _LARGEST))
        if name in MOST and type(value) is int and not -1 <= value <= MOST[name]:
            raise UsageError(f"{source}: {name} {value} is beyond any network's; it lies within {MOST[name]}.")
        if type(value) is not wanted:
            raise UsageError(f"{source}: {name} must be of type {wanted.__name__}, not {one_line(repr(value)[:80])}")
        clean[name] = value
    return kind(**clean)
