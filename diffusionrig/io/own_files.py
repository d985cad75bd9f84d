"""Files of fixed names in a folder of results (``report.json``, ``contact_sheet.png``): written over where an earlier run of the
same command left them, never where they are somebody else's."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from diffusionrig import __version__
from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.images import read_png_text
from diffusionrig.io.npz import array_names

COMMAND, SOFTWARE = "command", "Software"

Own = Callable[[Path], bool]
"""Whether a file was written by the command that asks."""


def own_marks(command: str) -> dict[str, str]:
    """The text of a picture by which ``own_picture`` knows it again."""
    return {SOFTWARE: f"diffusionrig {__version__} {command}"}


def require_own(folder: str | Path, files: Mapping[str, Own], flag: str) -> None:
    """UsageError naming the first of ``files`` that is in ``folder`` and that its test does not know; the command's ``flag``
    chooses the folder."""
    for name, own in files.items():
        file = Path(folder) / name
        if os.path.lexists(file) and not (file.is_file() and own(file)):
            raise UsageError(f"{file} was not written by this command, so it is not written over; choose another {flag} or move it "
                             "away.")


def own_report(command: str, *keys: str) -> Own:
    """Knows the JSON report of ``command`` by its entry ``command``; one of before that was written, by having all ``keys``."""
    def own(file: Path) -> bool:
        report = _read_report(file)
        return report.get(COMMAND) == command or (COMMAND not in report and bool(keys) and report.keys() >= set(keys))

    return own


def own_picture(command: str, *keys: str) -> Own:
    """Knows a picture by ``own_marks``; one without, by a report of before beside it (see ``own_report``)."""
    def own(file: Path) -> bool:
        try:
            software = read_png_text(file).get(SOFTWARE, "").split()
        except RigError:
            return False
        before = _read_report(file.parent / "report.json")
        return (software[:1] == ["diffusionrig"] and software[-1] == command) or (
            not software and bool(keys) and COMMAND not in before and before.keys() >= set(keys))

    return own


def own_text(key: str, value: str) -> Own:
    """Knows a PNG file by one of its texts."""
    def own(file: Path) -> bool:
        try:
            return read_png_text(file).get(key) == value
        except RigError:
            return False

    return own


def own_start(text: str) -> Own:
    """Knows a text file by how it begins."""
    def own(file: Path) -> bool:
        try:
            with open(file, "rb") as stream:
                return stream.read(len(text.encode())) == text.encode()
        except OSError:
            return False

    return own


def own_listed(report: Path, command: str, name: str, *keys: str) -> Own:
    """Knows any file when the ``report`` of an earlier run of ``command`` (see ``own_report``) has a row called ``name`` among its
    ``images``."""
    def own(file: Path) -> bool:
        rows = _read_report(report).get("images")
        return (own_report(command, *keys)(report) and isinstance(rows, list)
                and any(isinstance(row, dict) and row.get("name") == name for row in rows))

    return own


def own_arrays(*names: str) -> Own:
    """Knows an npz archive by the ``names`` of arrays that it holds."""
    def own(file: Path) -> bool:
        try:
            return set(array_names(file)) >= set(names)
        except RigError:
            return False

    return own


def _read_report(file: Path) -> dict[str, Any]:
    try:
        report = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return report if isinstance(report, dict) else {}
