"""Writing an HDF5 file of numbers and names, one row at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from diffusionrig.errors import RigError
from diffusionrig.io.damage import short_reason

_CHUNK = 1 << 20
"""Bytes of a chunk, about: what is read at once when a part of a row is asked for."""


class H5Writer:
    """A new file at ``path``, best one of ``atomic_path``. The same calls give the same bytes. Use as a context manager."""

    def __init__(self, path: str | Path) -> None:
        import h5py

        self.path = Path(path)
        try:
            self._file = h5py.File(self.path, "w", libver=("earliest", "v110"))
        except OSError as error:
            raise RigError(f"Cannot write {self.path} ({short_reason(error)}); choose another folder.") from error

    def describe(self, attributes: Mapping[str, object]) -> None:
        """Attributes of the file: texts, numbers, arrays of numbers."""
        for name, value in attributes.items():
            self._file.attrs[name] = value

    def texts(self, key: str, values: Sequence[str], attributes: Mapping[str, object]) -> None:
        """A dataset of strings."""
        import h5py

        dataset = self._file.create_dataset(key, data=list(values), dtype=h5py.string_dtype())
        for name, value in attributes.items():
            dataset.attrs[name] = value

    def create(self, key: str, shape: tuple[int, ...], kind: str, attributes: Mapping[str, object], packed: bool = False) -> None:
        """A dataset to be filled by ``write``; what is not written is NaN, or 0 in whole numbers."""
        size = np.dtype(kind).itemsize * max(1, int(np.prod(shape[2:])))
        rows = max(1, min(shape[1], _CHUNK // size)) if len(shape) > 1 else 0
        chunks = (1, rows, *shape[2:]) if rows and all(shape) else None
        empty = np.nan if np.dtype(kind).kind == "f" else 0
        dataset = self._file.create_dataset(key, shape, kind, chunks=chunks, fillvalue=empty,
                                            compression="gzip" if packed else None, track_times=False)
        for name, value in attributes.items():
            dataset.attrs[name] = value

    def write(self, key: str, row: int, values: np.ndarray) -> None:
        """Row ``row``, whose first axis may be shorter than the dataset's."""
        try:
            if values.ndim:
                self._file[key][row, :len(values)] = values
            else:
                self._file[key][row] = values
        except OSError as error:
            raise RigError(f"Cannot write {key} into {self.path} ({short_reason(error)}); free some space.") from error

    def __enter__(self) -> H5Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()
