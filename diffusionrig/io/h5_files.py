"""HDF5 files of numbers and names, read one row at a time; nothing outside the file is ever followed."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from diffusionrig.errors import RigError
from diffusionrig.io.files import existing_file, short_reason


class H5File:
    """The datasets at the top of an HDF5 file. Use as a context manager, or ``close`` it.

    UsageError when the file is absent; RigError when it is damaged.
    """

    def __init__(self, path: str | Path) -> None:
        import h5py

        self.path = existing_file(path, "h5 file")
        try:
            self._file = h5py.File(self.path, "r")
        except OSError as error:
            raise RigError(f"{self.path} is no HDF5 file or is cut off ({short_reason(error)}); copy it again.") from error
        self.keys = tuple(sorted(key for key in self._file if self._plain(key)))

    def _plain(self, key: str) -> bool:
        """Whether ``key`` is a dataset held in this file: links and virtual datasets could name any file of the machine."""
        import h5py

        if not isinstance(self._file.get(key, getlink=True), h5py.HardLink):
            return False
        entry = self._file[key]
        return isinstance(entry, h5py.Dataset) and not entry.external and not entry.is_virtual

    def shape(self, key: str) -> tuple[int, ...]:
        """The shape of a dataset; RigError when there is none of that name."""
        return tuple(self._dataset(key).shape)

    def row(self, key: str, number: int) -> np.ndarray:
        """Row ``number`` of a dataset of numbers, an array of its own."""
        values = self._read(key, number)
        array = np.array(values)
        if array.dtype.kind not in "fiub":
            raise RigError(f"{key} of {self.path} does not hold numbers; write the file again.")
        return array

    def kind(self, key: str) -> str:
        """numpy's name of a dataset's type."""
        return str(self._dataset(key).dtype)

    def attributes(self, key: str = "") -> dict[str, Any]:
        """Attributes of a dataset, or of the file itself: texts, numbers and arrays of numbers; others are left out."""
        held = self._dataset(key).attrs if key else self._file.attrs
        found: dict[str, Any] = {}
        for name in sorted(held):
            try:
                value = held[name]
            except (OSError, TypeError, ValueError) as error:
                raise RigError(f"The attribute {name} in {self.path} cannot be read ({short_reason(error)}); write the file "
                               "again.") from error
            if isinstance(value, str) or np.asarray(value).dtype.kind in "fiub":
                found[name] = value.item() if isinstance(value, np.generic) else value
        return found

    def texts(self, key: str) -> list[str]:
        """All strings of a dataset of strings."""
        values = np.asarray(self._read(key, slice(None))).reshape(-1)
        try:
            return [value.decode() if isinstance(value, bytes) else str(value) for value in values]
        except UnicodeDecodeError as error:
            raise RigError(f"{key} of {self.path} is not UTF-8 text ({error}); write the file again.") from error

    def _dataset(self, key: str) -> Any:
        if key not in self.keys:
            raise RigError(f"{self.path} holds no array {key!r} of its own; it has {', '.join(self.keys) or 'none'}.")
        return self._file[key]

    def _read(self, key: str, rows: int | slice) -> Any:
        try:
            return self._dataset(key)[rows]
        except (OSError, ValueError, IndexError) as error:
            raise RigError(f"{key} of {self.path} cannot be read ({short_reason(error)}); copy the file again.") from error

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> H5File:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
