"""What a system is: phases that are trained one after another, and a way to load what they made."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from diffusionrig.errors import UsageError
from diffusionrig.reactions.generators.examples import Examples
from diffusionrig.reactions.interface import ReactionGenerator
from diffusionrig.training.task import Task

SYSTEMS: dict[str, str] = {
    "stream": "diffusionrig.reactions.generators.stream",
    "faceais": "diffusionrig.reactions.generators.faceais",
    "unifr": "diffusionrig.reactions.generators.unifr",
    "perfrdiff": "diffusionrig.reactions.generators.perfrdiff",
}
"""Names and modules; each module has ``SYSTEM``. Imported when asked for."""


@dataclasses.dataclass(frozen=True)
class Phase:
    """name      word for the configuration's sections ``name`` and ``name_train``, and for the folder of the run
    settings  dataclass of the phase's own settings (network and loss); every field has a default
    build     (settings, examples, models of the earlier phases by name, seed) -> the task that is trained
    optional  trained only when asked for by name
    """

    name: str
    settings: type
    build: Callable[[Any, Examples, Mapping[str, Path], int], Task]
    optional: bool = False


@dataclasses.dataclass(frozen=True)
class System:
    """name; ``phases`` in order; ``load`` (model file of the last phase that was trained, device) -> generator. That file holds
    all the generator needs: what earlier phases made is saved along, frozen."""

    name: str
    phases: tuple[Phase, ...]
    load: Callable[[Path, torch.device], ReactionGenerator]

    def phase(self, name: str) -> Phase:
        """UsageError when there is none of that name."""
        for phase in self.phases:
            if phase.name == name:
                return phase
        raise UsageError(f"{self.name} has no phase {name!r}; choose from {', '.join(phase.name for phase in self.phases)}.")


def find_system(name: str) -> System:
    """The system of that name; UsageError when there is none."""
    if name not in SYSTEMS:
        raise UsageError(f"There is no system {name!r}; choose from {', '.join(SYSTEMS)}.")
    system = importlib.import_module(SYSTEMS[name]).SYSTEM
    assert isinstance(system, System)
    return system
