"""Writing a large .npy array row by row, so that it never lies in memory whole."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np

from diffusionrig.io.files import atomic_path


class NpyRows:
    """A float32 array of ``shape`` at ``path``, filled by ``append`` from its first row to its last.

    The file appears when the context is left with every row written. Left by an error, or without any row, it does not appear.
    """

    def __init__(self, path: str | Path, shape: tuple[int, ...]) -> None:
        self.path, self.shape, self.written = Path(path), shape, 0
        self._stack = contextlib.ExitStack()
        self._file: BinaryIO | None = None

    def __enter__(self) -> NpyRows:
        return self

    def append(self, row: np.ndarray) -> None:
        """Write the next row, of shape ``shape[1:]``; ValueError when it has another or there are too many."""
        if row.shape != self.shape[1:] or self.written >= self.shape[0]:
            raise ValueError(f"row {self.written} of {self.path} has the shape {row.shape} in an array {self.shape}")
        if self._file is None:
            temporary = self._stack.enter_context(atomic_path(self.path))
            self._file = self._stack.enter_context(temporary.open("wb"))
            header = {"descr": "<f4", "fortran_order": False, "shape": self.shape}
            np.lib.format.write_array_header_1_0(self._file, header)
        self._file.write(np.ascontiguousarray(row, "<f4").tobytes())
        self.written += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None and self._file is not None and self.written < self.shape[0]:
            error = ValueError(f"{self.path} has {self.written} of {self.shape[0]} rows")
            self._stack.__exit__(type(error), error, None)
            raise error
        self._stack.__exit__(kind, error, trace)
