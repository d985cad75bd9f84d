"""Settings that are given beside a model which describes itself: nothing is taken from them, but they must not contradict it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusionrig.errors import UsageError

HARMLESS = {"dropout", "use_checkpoint", "use_kl", "p2_weight", "p2_gamma", "p2_k", "min_snr", "rescale_learned_sigmas",
            "timestep_respacing"}
"""Settings that say how a network was trained or is sampled, or that save memory; other values change no weight's meaning."""


def check_agreement(given: Mapping[str, Any], trained: Mapping[str, Any], path: Path) -> None:
    """UsageError when a setting by flag name is not the one among all those that the model at ``path`` was trained with."""
    for name, value in given.items():
        if name not in HARMLESS and trained[name] != value:
            raise UsageError(f"--{name} {value} contradicts the checkpoint {path}, which was trained with {trained[name]}; leave "
                             "the flag out.")
