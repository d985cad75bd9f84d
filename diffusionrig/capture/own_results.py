"""Results of a capture that bear the names of photographs: written over where an earlier capture left them, never otherwise."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from diffusionrig.io.images import write_png
from diffusionrig.io.own_files import Own, own_listed, own_marks, own_picture, own_start, require_own

COMMAND = "capture"
REPORT = "report.json"
BEFORE = ("software", "encoder", "head_hash", "images")
"""Entries of a report from before it named its command."""

MARKS = own_marks(COMMAND)
COMMENT = f"diffusionrig {COMMAND}"
"""First line of meshes and materials, after the sign of a comment."""

_RESULT = re.compile(r"(.+?)(?:_(?:overlay|shape|rendered|albedo)\.png|\.obj|\.mtl)", re.DOTALL)
_FRAME = re.compile(r"_frame_*\d+", re.DOTALL)


def write_own_png(path: Path, pixels: np.ndarray) -> None:
    """``write_png`` with the marks by which a later run knows the picture."""
    write_png(path, pixels, MARKS)


def require_own_results(folder: Path, names: Sequence[str], model: str, index: str) -> None:
    """UsageError when ``folder`` holds pictures or meshes under the ``names`` that results of this run may get (as they are, or
    with the number of a frame) that no capture made; those in folders ``model``/name ``index`` likewise."""
    report = folder / REPORT
    if folder.is_dir():
        found = {entry.name: match[1] for entry in folder.iterdir() if (match := _RESULT.fullmatch(entry.name))}
        require_own(folder, {file: _own(file, report, name) for file, name in sorted(found.items()) if _wanted(name, names)},
                    "--output_dir")
    if (folder / model).is_dir():
        for place in sorted((folder / model).iterdir()):
            name = place.name.removesuffix(index)
            if name != place.name and place.is_dir() and _wanted(name, names):
                require_own(place, _inside(place, report, name), "--output_dir")


def _wanted(name: str, names: Sequence[str]) -> bool:
    return any(name == own or (name.startswith(own) and _FRAME.fullmatch(name[len(own):])) for own in names)


def _inside(place: Path, report: Path, name: str) -> Mapping[str, Own]:
    return {file.name: _own(file.name, report, name) for file in sorted(place.iterdir()) if file.suffix in {".png", ".obj", ".mtl"}}


def _own(file: str, report: Path, name: str) -> Own:
    marked = own_picture(COMMAND, *BEFORE) if file.endswith(".png") else own_start(f"# {COMMENT}\n")
    listed = own_listed(report, COMMAND, name, *BEFORE)
    return lambda path: marked(path) or listed(path)
