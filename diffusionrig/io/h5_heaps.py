"""The heaps in which an HDF5 file keeps its texts, walked before the library walks them."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

_MARK = b"GCOL\x01\0\0\0"
_HEADER = 16
"""Bytes before the first entry of a heap, and before the contents of each: numbers of 4 or 8 bytes are padded to it."""


def refuse_damaged_heaps(path: Path, width: int, known: list[tuple[int, int]]) -> None:
    """ValueError when a heap of texts in the file leaves the file, or holds an entry that leads nowhere: HDF5 (2.0 at least) goes
    round without end at a free entry of no bytes. ``width``: bytes of a size in this file; ``known``: the (first byte, length) of
    stretches that hold numbers, which are not looked through."""
    with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        # Heaps do not overlap, so that honest ones have no more entries than this together.
        left = len(data) // _HEADER
        for begin, end in _gaps(known, len(data)):
            at = data.find(_MARK, begin, end)
            while at >= 0:
                left = _walk(data, at, width, left)
                at = data.find(_MARK, at + len(_MARK), end)


def _gaps(known: list[tuple[int, int]], size: int) -> Iterator[tuple[int, int]]:
    place = 0
    for begin, length in sorted(known):
        yield place, max(place, min(begin, size))
        place = max(place, min(begin + length, size))
    yield place, size


def _walk(data: mmap.mmap, at: int, width: int, left: int) -> int:
    end = at + int.from_bytes(data[at + 8:at + 8 + width], "little")
    if end > len(data):
        raise ValueError("its texts lie outside the file")
    place = at + _HEADER
    while place + _HEADER <= end:
        entry = data[place:place + 8 + width]
        size = int.from_bytes(entry[8:], "little")
        # Entry 0 is what is free, its own header counted in.
        step = size if entry[:2] == b"\0\0" else _HEADER + -(-size // 8) * 8
        left -= 1
        if step < _HEADER or place + step > end or left < 0:
            raise ValueError("the list of its texts is damaged")
        place += step
    return left
