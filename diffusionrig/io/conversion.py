"""Turning registered files into plain ones: arrays in .npz, networks in .safetensors; nothing of them can run code."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from diffusionrig.errors import RigError
from diffusionrig.io.array_files import write_array_file
from diffusionrig.io.checkpoints import save_checkpoint
from diffusionrig.io.converted import converted_path, newest
from diffusionrig.io.emoca_folder import SETTINGS, checkpoints_in
from diffusionrig.io.encoder_files import read_deca, read_emoca, read_smirk
from diffusionrig.io.files import make_folder, read_bytes, write_bytes
from diffusionrig.io.flame_files import embedding_as_stored, read_flame, read_landmark_embedding, read_texture_data
from diffusionrig.io.registered import RegisteredFile, find, registered_files
from diffusionrig.io.texture_files import read_texture


@dataclasses.dataclass(frozen=True)
class Step:
    """What became of one file: action is "converted", "copied", "kept", "plain", "absent" or "refused"; ``note`` says more."""

    file: RegisteredFile
    action: str
    output: str = ""
    note: str = ""


def convert_assets(folder: Path, output: Path, overwrite: bool = False,
                   tell: Callable[[Step], None] = lambda step: None) -> list[Step]:
    """Convert every registered file in ``folder`` into ``output``, which may be the same folder.

    Into another folder the plain files are copied too, so that it is complete. Copies that are there stay unless
    ``overwrite``. A file that is damaged or another one becomes a Step "refused" and does not keep the rest from being
    converted. RigError when ``output`` cannot be written.
    """
    make_folder(output)
    steps = []
    for file in registered_files(folder):
        steps.append(_convert(file, folder, output, overwrite))
        tell(steps[-1])
    return steps


def _convert(file: RegisteredFile, folder: Path, output: Path, overwrite: bool) -> Step:
    source, same = folder / file.name, os.path.realpath(folder) == os.path.realpath(output)
    copy, target = converted_path(source), converted_path(output / file.name)
    if not source.exists() or (source.is_dir() and not checkpoints_in(source)):
        if copy is None or target is None or not copy.is_file():
            finding = find(file, folder)
            return Step(file, "absent" if finding.state == "absent" else "refused", note=finding.note)
        # Only the plain copy is there.
        return _plain(file, folder) if same else _copy(file, folder, copy, target, overwrite)
    if target is None:
        return _plain(file, folder) if same else _copy(file, folder, source, output / file.name, overwrite)
    originals = [source / SETTINGS, *checkpoints_in(source)] if source.is_dir() else [source]
    if target.is_file() and not overwrite:
        stale = same and newest(source, originals) == source
        note = f"It is older than {source.name} and is not used; give --overwrite to make it again." if stale else ""
        return Step(file, "kept", str(target), note)
    try:
        make_folder(target.parent)
        _write(source, target)
        if source.is_dir() and not same:
            write_bytes(output / file.name / SETTINGS, read_bytes(source / SETTINGS))
        # An original from a machine whose clock runs ahead must not look newer than its copy.
        now = max(time.time_ns(), *(original.stat().st_mtime_ns for original in originals))
        with contextlib.suppress(OSError):
            os.utime(target, ns=(now, now))
    except RigError as error:
        return Step(file, "refused", note=str(error))
    return Step(file, "converted", str(target))


def _plain(file: RegisteredFile, folder: Path) -> Step:
    finding = find(file, folder)
    return Step(file, "plain" if finding.state == "present" else "refused", note="" if finding.state == "present" else finding.note)


def _copy(file: RegisteredFile, folder: Path, source: Path, target: Path, overwrite: bool) -> Step:
    if target.exists() and not overwrite:
        return Step(file, "kept", str(target))
    try:
        file.check(folder / file.name)
        make_folder(target.parent)
        write_bytes(target, read_bytes(source))
    except RigError as error:
        return Step(file, "refused", note=str(error))
    return Step(file, "copied", str(target))


def _write(source: Path, target: Path) -> None:
    """Read the original (never an earlier copy of it) and write its plain copy."""
    if source.is_dir():
        networks, settings = read_emoca(source, original=True)
        save_checkpoint(target, _flat(networks), {"settings": _plain_settings(settings)})
    elif source.suffix == ".tar":
        save_checkpoint(target, _flat(read_deca(source, original=True)), {})
    elif source.suffix == ".pt":
        save_checkpoint(target, read_smirk(source, original=True), {})
    elif source.suffix == ".pkl":
        write_array_file(target, read_flame(source, original=True), compress=False)
    elif source.name.startswith("landmark"):
        write_array_file(target, embedding_as_stored(read_landmark_embedding(source, original=True)), compress=False)
    elif source.suffix == ".npy":
        write_array_file(target, read_texture_data(source, original=True), compress=False)
    else:
        write_array_file(target, read_texture(source, original=True), compress=False)


def _flat(networks: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {f"{network}.{name}": tensor for network, tensors in networks.items() for name, tensor in tensors.items()}


def _plain_settings(settings: dict[str, Any]) -> Any:
    # YAML knows dates and infinities, JSON does not; none of them matters to a reader.
    return json.loads(json.dumps(settings, default=str), parse_constant=str)
