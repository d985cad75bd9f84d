"""What all phases share: people and their clips, models of earlier phases."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from diffusionrig.errors import UsageError
from diffusionrig.io.checkpoints import load_checkpoint, match_tensors
from diffusionrig.reactions.corpus import ClipId, Split
from diffusionrig.reactions.generators.clips import person_of
from diffusionrig.settings import from_mapping

NAME = "perfrdiff"


def people_of(split: Split) -> dict[str, list[ClipId]]:
    """The listeners of a split and their clips, in its order."""
    found: dict[str, list[ClipId]] = {}
    for item in split.items:
        clips = found.setdefault(person_of(item.listener), [])
        if item.listener not in clips:
            clips.append(item.listener)
    return found


def earlier_model(earlier: Mapping[str, Path], phase: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and settings of an earlier phase's model. UsageError when it was not trained yet."""
    if phase not in earlier:
        raise UsageError(f"The phase {phase} of {NAME} has not been trained in this folder yet; train it first (--phase {phase}).")
    return load_checkpoint(earlier[phase])


def stored_settings(kind: type, values: Mapping[str, Any], path: object) -> Any:
    """Settings as a model's description has them."""
    return from_mapping(kind, values, f"the model {path}")


def fill(module: nn.Module, tensors: Mapping[str, Tensor], what: str) -> None:
    """Load exactly these tensors. RigError when names or shapes differ."""
    match_tensors({name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}, tensors, what,
                  "Train this phase again, or with the settings that the model has.")
    module.load_state_dict(dict(tensors))


def seeded(seed: int) -> None:
    """Key the draws of new weights by the seed of the run."""
    torch.manual_seed(seed)
