"""Rows of equal shape kept in a file, each there or not yet, for this process, later ones, and others beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from diffusionrig.errors import RigError
from diffusionrig.io.files import make_folder, read_json, write_json

ROWS, THERE = "rows.u8", "there.u8"


class MappedRows:
    """``count`` rows of uint8 in ``folder``, mapped into memory: a row is written once and read any number of times.

    Rows are what ``key``, a JSON value, says they are: a folder of others is refused. Processes that fill the same folder at
    once write the same values, so none waits for another; a row counts as there after its values have been written.
    """

    def __init__(self, folder: str | Path, count: int, shape: tuple[int, ...], key: dict[str, Any]) -> None:
        place = make_folder(folder)
        described = {"rows": count, "shape": list(shape), "of": key}
        if (place / "rows.json").exists():
            if read_json(place / "rows.json") != described:
                raise RigError(f"{place} keeps samples of other stores or settings; name another folder, or delete that one.")
        else:
            write_json(place / "rows.json", described)
        self._place, self._size = place, int(np.prod(shape))
        try:
            self._rows, self._there = (_mapped(place / name, sides) for name, sides in ((ROWS, (count, *shape)), (THERE, (count,))))
        except OSError as error:
            raise self._refusal(error) from error

    def __contains__(self, row: int) -> bool:
        return bool(self._there[row])

    def __getitem__(self, row: int) -> np.ndarray:
        """A copy of one row."""
        return np.array(self._rows[row])

    def __setitem__(self, row: int, values: np.ndarray) -> None:
        """RigError when the disk is full; the row is not there then."""
        # Not through the map: on a full disk that would end the process by SIGBUS.
        held = np.ascontiguousarray(values, np.uint8).tobytes()
        try:
            for name, place, data in ((ROWS, row * self._size, held), (THERE, row, b"\1")):
                with open(self._place / name, "r+b") as file:
                    file.seek(place)
                    file.write(data)
        except OSError as error:
            raise self._refusal(error) from error

    def _refusal(self, error: OSError) -> RigError:
        return RigError(f"Cannot keep samples in {self._place}: {error.strerror or error}; free some space or name another folder.")


def _mapped(path: Path, shape: tuple[int, ...]) -> np.memmap:
    size = int(np.prod(shape))
    with open(path, "ab") as file:
        if file.tell() < size:
            file.truncate(size)  # sparse: rows take up room once they are written
    return np.memmap(path, np.uint8, "r", shape=shape)
