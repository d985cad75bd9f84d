"""The .npy format, read piece by piece: the header is looked at before any memory is taken for the numbers."""

from __future__ import annotations

import ast
import dataclasses
import math
import re
from typing import IO

import numpy as np

_LONGEST_HEADER = 10_000


@dataclasses.dataclass(frozen=True)
class NpyHeader:
    """``dtype`` is None for Python objects; ``length`` counts the header's own bytes."""

    shape: tuple[int, ...]
    dtype: np.dtype | None
    fortran: bool
    length: int

    @property
    def nbytes(self) -> int:
        """Bytes of numbers that must follow."""
        size = 0 if self.dtype is None else self.dtype.itemsize
        for n in self.shape:
            size *= n
        return size


def read_npy_header(stream: IO[bytes], with_text: bool = False) -> NpyHeader:
    """The header at the start of ``stream``, which is left where the numbers begin; ValueError when it is none. With ``with_text``
    it may be of text of fixed width."""
    start = stream.read(8)
    if start[:6] != b"\x93NUMPY" or start[6:7] not in (b"\x01", b"\x02", b"\x03"):
        raise ValueError("it does not begin as an .npy file does")
    width = 2 if start[6] == 1 else 4
    length = int.from_bytes(stream.read(width), "little")
    if length > _LONGEST_HEADER:
        raise ValueError("its header is too long")
    text = stream.read(length)
    if len(text) != length:
        raise ValueError("it is cut off")
    try:
        fields = ast.literal_eval(text.decode("latin1").strip())
        shape, code, fortran = fields["shape"], fields["descr"], fields["fortran_order"]
    except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError):
        raise ValueError("its header is damaged") from None
    if not isinstance(shape, tuple) or len(shape) > 32 or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError("its header is damaged")
    kinds = r"[<>|=]?([biuf](1|2|4|8)|O|O8|O4" + (r"|[US]\d{1,7})" if with_text else ")")
    if not isinstance(code, str) or not re.fullmatch(kinds, code):
        raise ValueError(f"its numbers are of the type {str(code)[:30]}, which no such file has")
    dtype = None if "O" in code else np.dtype("?" if code.endswith("b1") else code)
    return NpyHeader(shape, dtype, bool(fortran), 8 + width + length)


def require_whole(header: NpyHeader, size: int) -> None:
    """ValueError unless a file of ``size`` bytes holds objects of no kind and all the numbers that its ``header`` declares."""
    if header.dtype is None:
        raise ValueError("it holds Python objects, which are not unpickled")
    if size < header.length + header.nbytes:
        raise ValueError(f"it is cut off: {size:,} of {header.length + header.nbytes:,} bytes are there")


def read_numbers(stream: IO[bytes], header: NpyHeader) -> np.ndarray:
    """The array that follows ``header``; ValueError when the stream ends before it does.

    Look at ``header`` first: this takes the memory that it asks for.
    """
    if header.dtype is None:
        raise ValueError("it holds Python objects")
    count = header.nbytes // header.dtype.itemsize if header.dtype.itemsize else 0
    flat = np.empty(count if header.dtype.itemsize else math.prod(header.shape), header.dtype)
    if header.nbytes:
        fill(stream, flat)
    return flat.reshape(header.shape, order="F" if header.fortran else "C")


def fill(stream: IO[bytes], array: np.ndarray) -> None:
    """Read the bytes of the C-contiguous ``array`` from ``stream``; ValueError when it ends before."""
    view, at = array.reshape(-1).view(np.uint8).data, 0
    while at < len(view):
        block = stream.read(min(len(view) - at, 1 << 22))
        if not block:
            raise ValueError("it is cut off")
        view[at:at + len(block)] = block
        at += len(block)
