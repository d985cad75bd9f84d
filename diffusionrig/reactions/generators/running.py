"""Train the phases of a system one after another, each in a folder of its own; load what came out."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusionrig.data.identity import MOST
from diffusionrig.devices import resolve_device
from diffusionrig.errors import UsageError
from diffusionrig.io.checkpoints import load_checkpoint
from diffusionrig.io.damage import reading
from diffusionrig.model.building import MOST_BUILT, SMALL, built_within
from diffusionrig.reactions.corpus import Corpus, Split
from diffusionrig.reactions.generators.config import SystemConfig
from diffusionrig.reactions.generators.examples import Examples
from diffusionrig.reactions.generators.system import System, find_system
from diffusionrig.reactions.interface import ReactionGenerator
from diffusionrig.training.distributed import World
from diffusionrig.training.run_folder import RunFolder
from diffusionrig.training.task_loop import train_task

KIND = "reaction generator"
"""The ``kind`` in the description of every phase's model, beside ``system``, ``phase`` and ``model`` (its settings)."""


def train_system(config: SystemConfig, corpus: Corpus, log_dir: str | Path, world: World, phase: str = "",
                 before: Mapping[str, Path] | None = None) -> list[dict[str, Any]]:
    """Train all phases but optional ones (or the one named ``phase``) and return their reports. ``before`` are models of earlier
    phases that lie elsewhere.

    A phase that has arrived at its last step is not trained again; a signal ends the sequence, and the same call goes on.
    """
    root, system = Path(log_dir), config.system
    chosen = [system.phase(phase)] if phase else [one for one in system.phases if not one.optional]
    reports = []
    for one in chosen:
        options = config.options(one.name, root / one.name)
        examples = Examples(corpus.split(config.data.split), config.data, options.seed)
        earlier = {**(before or {}), **earlier_models(system, root, one.name)}
        report = train_task(one.build(config.settings[one.name], examples, earlier, options.seed), options, world)
        reports.append(report)
        if report["signal"]:
            break
    return reports


def earlier_models(system: System, root: Path, phase: str) -> dict[str, Path]:
    """The newest models of the phases before ``phase`` that have one."""
    found = {}
    for one in system.phases:
        if one.name == phase:
            break
        models = RunFolder(root / one.name).found("model")
        if models:
            found[one.name] = list(models.values())[-1]
    return found


def newest_model(path: str | Path) -> Path:
    """A model file itself; of a folder, the newest model of its last phase (or of the run in it). UsageError when there is
    none."""
    place = Path(path)
    if place.is_file():
        return place
    if not place.is_dir():
        raise UsageError(f"There is no model or run {place}; train one with 'diffusionrig react train'.")
    own = RunFolder(place).found("model")
    if own:
        return list(own.values())[-1]
    found = {child.name: list(models.values())[-1] for child in sorted(place.iterdir())
             if child.is_dir() and (models := RunFolder(child).found("model"))}
    if not found:
        raise UsageError(f"{place} holds no model of a reaction generator; train one with 'diffusionrig react train'.")
    _, meta = load_checkpoint(next(iter(found.values())))
    for phase in reversed(find_system(str(meta.get("system"))).phases):
        if phase.name in found:
            return found[phase.name]
    raise UsageError(f"{place} holds models of other phases than {meta.get('system')} has: {', '.join(found)}.")


def load_generator(path: str | Path, device: str = "auto") -> ReactionGenerator:
    """The generator that a model file, or the newest model of a run's folder, describes.

    UsageError when the file is none of a reaction generator's.
    """
    model = newest_model(path)
    _, meta = load_checkpoint(model)
    if meta.get("kind") != KIND:
        raise UsageError(f"{model} is no model of a reaction generator; train one with 'diffusionrig react train'.")
    place = resolve_device(device)
    with reading(f"The model {model}", "does not hold what it describes", "train it again, or copy it again"), \
            built_within(MOST_BUILT * model.stat().st_size + SMALL):
        return find_system(str(meta["system"])).load(model, place)


def about_model(system: str, phase: str, settings: Any) -> dict[str, Any]:
    """What tells a model's file from others: system, phase and network; ``settings`` is the phase's dataclass."""
    return {"kind": KIND, "system": system, "phase": phase, "model": dataclasses.asdict(settings)}


def describe(system: str, phase: str, settings: Any, examples: Examples) -> dict[str, Any]:
    """What a phase's model says about itself when it was trained on ``examples``."""
    return {**about_model(system, phase, settings),
            "data": {"corpus": examples.split.corpus.root.name, "split": examples.split.name, "hash": examples.split.hash,
                     "items": len(examples.split), "clips": clip_marks(examples.split), **dataclasses.asdict(examples.settings)}}


def clip_marks(split: Split) -> str:
    """What of a split is remembered to tell whether another is the same, grown: the least marks of its items."""
    marks = (hashlib.blake2b(f"{item.speaker} {item.listener}".encode(), digest_size=6).hexdigest() for item in split.items)
    return " ".join(sorted(marks)[:MOST])
