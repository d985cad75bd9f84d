"""Snapshots of power-function averages: written while training, turned into a model of any width afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.checkpoints import describe_checkpoint, load_checkpoint, save_checkpoint
from diffusionrig.training.power_ema import PowerAverages
from diffusionrig.training.power_profiles import combine, gamma_of
from diffusionrig.training.run_folder import RunFolder

KIND = "ema snapshot"


def write_snapshot(path: Path, averages: PowerAverages, about: Mapping[str, Any]) -> None:
    """Write the averages as they are now, in half precision, with the description ``about`` of the run."""
    tensors, power = averages.snapshot()
    save_checkpoint(path, tensors, {**about, "kind": KIND, "power_ema": power})


def _describe(path: Path) -> dict[str, Any]:
    _, meta = describe_checkpoint(path)
    if meta.get("kind") != KIND:
        raise RigError(f"{path} is not a snapshot of averages that a training with --ema_profile power wrote; move it away.")
    return meta


def rebuild(run: str | Path, sigma_rel: float, step: int | None = None,
            watch: Callable[[int, int], None] | None = None) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights and description of the model whose average after ``step`` updates (default: the newest snapshot's) has the relative
    width ``sigma_rel``, made of the snapshots in the folder ``run``.

    ``meta["ema"]`` says what was made of what; its ``profile_error`` is the relative distance between the profile asked for and the
    one that the snapshots can give. ``watch(done, all)`` is told about progress. Snapshots are read one at a time.
    """
    gamma = gamma_of(sigma_rel)
    folder = RunFolder(run)
    files = {number: path for number, path in folder.found("average").items() if step is None or number <= step}
    last = max(files, default=None)
    if last is None or (step is not None and last != step):
        raise UsageError(_nothing_at(folder, step))
    about = {number: _describe(path) for number, path in files.items()}
    newest = about[last]
    begun = newest["power_ema"]["begun"]
    profiles = {(number, width): (float(meta["power_ema"]["updates"]), gamma_of(width))
                for number, meta in about.items() if meta["power_ema"]["begun"] == begun and meta["power_ema"]["updates"]
                for width in meta["power_ema"]["sigma_rel"]}
    if not profiles:
        raise UsageError(f"{files[last]} was written before the first update; there is nothing to average yet.")
    factors, error = combine(list(profiles.values()), (float(newest["power_ema"]["updates"]), gamma))
    sums: dict[str, Tensor] = {}
    plain: dict[str, Tensor] = {}
    numbers = sorted({number for number, _ in profiles})
    for done, number in enumerate(numbers):
        held, _ = load_checkpoint(files[number], dtype=None)
        for (owner, width), factor in zip(profiles, factors):
            if owner == number:
                _add(sums, held, f"{width:g}/", float(factor))
        plain = {name: tensor for name, tensor in held.items() if "/" not in name}
        if watch is not None:
            watch(done + 1, len(numbers))
    averaged = {name: tensor.float() for name, tensor in sums.items()}
    meta = {key: value for key, value in newest.items() if key != "power_ema"}
    meta.update(kind="model", weights="ema", ema={
        "profile": "power", "sigma_rel": sigma_rel, "updates": newest["power_ema"]["updates"], "snapshots": len(numbers),
        "profile_error": round(error, 6)})
    return {**_frame(folder, {**averaged, **plain}), **averaged, **plain}, meta


def _add(sums: dict[str, Tensor], held: Mapping[str, Tensor], prefix: str, factor: float) -> None:
    """Add ``factor`` times the tensors under ``prefix`` to ``sums``, in double precision."""
    for name, tensor in held.items():
        if name.startswith(prefix):
            part = tensor.double() * factor
            plain = name[len(prefix):]
            sums[plain] = sums[plain].add_(part) if plain in sums else part


def _frame(folder: RunFolder, have: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the averages leave out because it never changes (a frozen encoder, the mean shape): from the run's newest model."""
    models = [path for path in folder.found("model").values() if path.suffix == ".safetensors"]
    if not models:
        raise UsageError(f"{folder.path} holds snapshots of averages but no modelN.safetensors, whose frozen parts are needed too.")
    tensors, _ = load_checkpoint(models[-1])
    unknown = [name for name in have if name not in tensors]
    if unknown:
        raise RigError(f"The snapshots in {folder.path} hold {unknown[0]}, but {models[-1].name} does not; they "
                       "are of another run.")
    return {name: tensor for name, tensor in tensors.items() if name not in have}


def _nothing_at(folder: RunFolder, step: int | None) -> str:
    have = list(folder.found("average"))
    if not have:
        return (f"{folder.path} holds no snapshots of averages (emaN.safetensors); they are written by a training with "
                "--ema_profile power.")
    nearest = min(have, key=lambda number: abs(number - (step or 0)))
    return f"{folder.path} has no snapshot at step {step}; the nearest of its {len(have)} is at {nearest}."
