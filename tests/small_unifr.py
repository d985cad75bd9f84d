"""Transformers of the smallest size, and inputs for them."""

from __future__ import annotations

import torch
from torch import Tensor

from diffusionrig.randomness import torch_stream
from diffusionrig.reactions.generators.unifr.inputs import OWN, WHOLE
from diffusionrig.reactions.generators.unifr.network import Sizes, UnifiedTransformer, fresh

WORDS = {"AU": 7, "exp": 6, "VA": 5}


def small(init: float = 0.3) -> UnifiedTransformer:
    """Two layers of width 12; special tokens filled, since zeros would hide who depends on them."""
    network = fresh(Sizes(WORDS, OWN, 12, 2, 2, 0.0, init), 0).eval()
    random = torch_stream("special")
    with torch.no_grad():
        for special in (network.sort, network.sort_of_sound, network.match, network.faceless, network.masked):
            special.normal_(0, 0.5, generator=random)
    return network


def inputs(batch: int, frames: int, seed: int = 0) -> dict[str, Tensor]:
    random = torch_stream("inputs", seed)
    made = {name: torch.randn(batch, *([] if name in WHOLE else [frames]), size, generator=random) for name, size in OWN.items()}
    return {**made, "face": torch.rand(batch, frames, generator=random) > 0.2}


def words(batch: int, frames: int, seed: int = 0) -> Tensor:
    random = torch_stream("words", seed)
    return torch.stack([torch.randint(count, (batch, frames), generator=random) for count in WORDS.values()], -1)
