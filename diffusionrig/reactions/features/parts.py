"""What is prepared of each clip, kept beside the file to be until all clips are there; a clip is there whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from diffusionrig.errors import UsageError
from diffusionrig.io.array_files import read_array_file, write_array_file
from diffusionrig.io.files import make_folder, read_json, remove_files, write_json

_REQUEST = "request.json"


class Parts:
    """The folder ``place``, of a run whose ``request`` (plain JSON values) decides every number.

    UsageError when the folder holds the parts of another request.
    """

    def __init__(self, place: Path, request: dict[str, Any]) -> None:
        self.place = make_folder(place)
        file = self.place / _REQUEST
        begun = read_json(file) if file.exists() else None
        if isinstance(begun, dict):
            for name, value in request.items():
                if begun.get(name) != value:
                    raise UsageError(f"{place} holds a begun run with other {name}; continue it as it was, or delete the folder.")
        write_json(file, request)

    def path(self, row: int) -> Path:
        return self.place / f"{row:05d}.npz"

    def missing(self, count: int) -> list[int]:
        """Rows of ``count`` that are not there yet."""
        return [row for row in range(count) if not self.path(row).is_file()]

    def write(self, row: int, arrays: dict[str, np.ndarray]) -> None:
        write_array_file(self.path(row), arrays)

    def read(self, row: int) -> dict[str, np.ndarray]:
        return read_array_file(self.path(row), "prepared clip")

    @staticmethod
    def clear(place: Path, count: int) -> None:
        """Delete the parts of ``count`` rows in ``place``, when they are no longer needed, and the folder unless it holds more."""
        if not place.is_dir():
            return
        remove_files([*(place / f"{row:05d}.npz" for row in range(count)), place / _REQUEST])
        if not any(place.iterdir()):
            place.rmdir()
