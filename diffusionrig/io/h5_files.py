"""HDF5 files of numbers and names, read one row at a time; nothing outside the file is ever followed."""

from __future__ import annotations

import contextlib
import math
import struct
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from diffusionrig.errors import RigError
from diffusionrig.io.damage import reading
from diffusionrig.io.files import existing_file
from diffusionrig.io.h5_heaps import refuse_damaged_heaps

_MOST_KEYS = 10_000
_SMALL, _UNFOLDED = 1 << 26, 8
"""Numbers that are read at once may take this many bytes, or so many times those of the file."""

_LARGE = 1 << 28
"""Bytes from which on a file is not looked through for heaps of texts where it holds numbers."""


class H5File:
    """The datasets at the top of an HDF5 file. Use as a context manager, or ``close`` it.

    UsageError when the file is absent; RigError when it is damaged.
    """

    def __init__(self, path: str | Path) -> None:
        import h5py

        self.path = existing_file(path, "h5 file")
        with reading(self.path, "is no HDF5 file or is cut off"):
            self._file = h5py.File(self.path, "r")
            try:
                if len(self._file) > _MOST_KEYS:
                    raise ValueError(f"it holds {len(self._file)} arrays")
                refuse_damaged_heaps(self.path, self._file.id.get_create_plist().get_sizes()[1], self._numbers())
                self.keys = tuple(sorted(key for key in self._file if self._plain(key)))
            except BaseException:
                self._file.close()
                raise

    def _numbers(self) -> list[tuple[int, int]]:
        """Where the numbers of the datasets of a large file lie: (first byte, length)."""
        known: list[tuple[int, int]] = []
        if self.path.stat().st_size > _LARGE:
            for entry in (self._file[key] for key in self._file if self._plain(key)):
                if entry.chunks:
                    entry.id.chunk_iter(lambda chunk: known.append((chunk.byte_offset, chunk.size)))
                elif entry.id.get_offset() is not None:
                    known.append((entry.id.get_offset(), entry.id.get_storage_size()))
        return known

    def _plain(self, key: str) -> bool:
        """Whether ``key`` is a dataset held in this file: links and virtual datasets could name any file of the machine."""
        import h5py

        if not isinstance(self._file.get(key, getlink=True), h5py.HardLink):
            return False
        entry = self._file[key]
        return isinstance(entry, h5py.Dataset) and not entry.external and not entry.is_virtual and entry.shape is not None

    def shape(self, key: str) -> tuple[int, ...]:
        """The shape of a dataset; RigError when there is none of that name."""
        with self._reading(key):
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
        with self._reading(key):
            return str(self._dataset(key).dtype)

    def attributes(self, key: str = "") -> dict[str, Any]:
        """Attributes of a dataset, or of the file itself: texts, numbers and arrays of numbers; others are left out."""
        found: dict[str, Any] = {}
        with reading(f"An attribute of {key or 'the file'} in {self.path}", "cannot be read", "write the file again"):
            held = self._dataset(key).attrs if key else self._file.attrs
            for name in sorted(held):
                self._refuse_hollow(held.get_id(name).get_storage_size())
                value = held[name]
                if isinstance(value, str) or np.asarray(value).dtype.kind in "fiub":
                    found[name] = value.item() if isinstance(value, np.generic) else value
        return found

    def texts(self, key: str) -> list[str]:
        """All strings of a dataset of strings."""
        with self._reading(key):
            self._refuse_endless(self._dataset(key))
        values = np.asarray(self._read(key, slice(None))).reshape(-1)
        with reading(f"{key} of {self.path}", "is not UTF-8 text", "write the file again"):
            return [value.decode() if isinstance(value, bytes) else str(value) for value in values]

    def _dataset(self, key: str) -> Any:
        if key not in self.keys:
            raise RigError(f"{self.path} holds no array {key!r} of its own; it has {', '.join(self.keys) or 'none'}.")
        return self._file[key]

    def _read(self, key: str, rows: int | slice) -> Any:
        with self._reading(key):
            dataset = self._dataset(key)
            # What was never written takes no room in the file, but memory when it is read, and so do many zeros that were packed.
            rest = dataset.shape[1:] if isinstance(rows, int) else dataset.shape
            self._refuse_hollow(math.prod(rest) * max(1, dataset.dtype.itemsize))
            return dataset[rows]

    def _refuse_hollow(self, wanted: int) -> None:
        if wanted > max(_SMALL, _UNFOLDED * self.path.stat().st_size):
            raise ValueError(f"it unfolds to {wanted / 1e6:.0f} MB, far more than the file")

    def _refuse_endless(self, dataset: Any) -> None:
        """ValueError when a text says it is larger than the file: the library takes that memory first."""
        import h5py

        size, at = self.path.stat().st_size, dataset.id.get_offset()
        if h5py.check_string_dtype(dataset.dtype) is None or at is None or dataset.dtype.itemsize != 8:
            return
        with open(self.path, "rb") as stream:
            stream.seek(at)
            # On disk a text of any length is its length, the place of its heap and a number there.
            held = stream.read(16 * min(dataset.size, size // 16))
            if any(length and (length > size or place > size)
                   for length, place, _ in struct.iter_unpack("<IQI", held[:len(held) // 16 * 16])):
                raise ValueError("its texts lie outside the file")

    def _reading(self, key: str) -> contextlib.AbstractContextManager[None]:
        return reading(f"{key} of {self.path}", "cannot be read", "copy the file again")

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> H5File:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
