"""Stores that the published create_data.py wrote: a picture and three pickled float32 tensors per photograph.

Keys ``image_%06d`` (PNG), ``rendered_``, ``normal_``, ``albedo_%06d`` (pickles), ``length``. They hold no codes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lmdb
import numpy as np

from diffusionrig.errors import RigError
from diffusionrig.io.lmdb_files import ReadHandle, store_folder
from diffusionrig.io.png import png_size
from diffusionrig.io.record import Record

_PARTS = ("rendered", "normal", "albedo")


class PublishedStore:
    """The same interface as StoreReader; each record comes with its buffers and without codes."""

    def __init__(self, path: str | Path) -> None:
        self.path = store_folder(path)
        self._handle = ReadHandle(self.path)
        with self._handle.transaction() as transaction:
            self._length = read_length(transaction, self.path)
            for index, wanted in ((self._length - 1, True), (self._length, False)):
                if index >= 0 and (transaction.get(b"image_%06d" % index) is not None) != wanted:
                    raise wrong_count(self.path, self._length)
            self.header: dict[str, Any] = {"schema": "published", "buffers": "float32", "complete": True,
                                           "image_size": self._size(transaction), "head": None, "head_hash": None,
                                           "encoder": "DECA", "mean_shape": None}

    def __len__(self) -> int:
        return self._length

    def record(self, index: int, image: bool = True) -> Record:
        """Record ``index``; without ``image`` there is nothing but its number."""
        record = Record(source=f"{index:06d}", image=b"")
        if image:
            with self._handle.transaction() as transaction:
                record.image = bytes(self._value(transaction, "image", index))
                parts = [bytes(self._value(transaction, part, index)) for part in _PARTS]
            record.buffers = np.concatenate([self._tensor(data, part, index) for data, part in zip(parts, _PARTS)])
        return record

    def record_bytes(self, index: int) -> int:
        """Size of a record's four values."""
        with self._handle.transaction() as transaction:
            return sum(len(self._value(transaction, part, index)) for part in ("image", *_PARTS))

    def mark(self, index: int) -> bytes:
        """What tells the picture of record ``index`` from others: its size and the checksums at its end."""
        with self._handle.transaction() as transaction:
            image = self._value(transaction, "image", index)
            return b"%d " % len(image) + bytes(image[-16:])

    def refused(self) -> list[tuple[str, str]]:
        """Published stores do not say what they left out."""
        return []

    def _tensor(self, data: bytes, part: str, index: int) -> np.ndarray:
        # Needs PyTorch, which our own stores can be read without.
        from diffusionrig.io.pickled_tensors import tensor_from_pickle

        name, size = f"{part}_{index:06d} of {self.path}", self.header["image_size"]
        tensor = tensor_from_pickle(data, name)
        if tuple(tensor.shape) != (3, size, size):
            raise RigError(f"{name} has the shape {tuple(tensor.shape)} instead of (3, {size}, {size}); write the store "
                           "again.")
        return tensor.float().numpy()

    def _value(self, transaction: lmdb.Transaction, part: str, index: int) -> bytes | memoryview:
        if not 0 <= index < self._length:
            raise IndexError(f"record {index} of {self._length}")
        data = transaction.get(b"%s_%06d" % (part.encode(), index))
        if data is None:
            raise RigError(f"The store {self.path} is damaged: {part}_{index:06d} is missing; write the store again.")
        return data

    def _size(self, transaction: lmdb.Transaction) -> int:
        first = transaction.get(b"image_000000")
        if first is None:
            return 0
        try:
            return png_size(bytes(first[:33]))[0]
        except ValueError as error:
            raise RigError(f"image_000000 of {self.path} is damaged: {error}; write the store again.") from error


def is_published(path: str | Path) -> bool:
    """Whether the LMDB at ``path`` has the published keys rather than ours."""
    with ReadHandle(path).transaction() as transaction:
        return transaction.get(b"header") is None and (transaction.get(b"length") is not None
                                                       or transaction.get(b"image_000000") is not None)


def read_length(transaction: lmdb.Transaction, path: Path) -> int:
    """The number of records that a store says it has."""
    stored = transaction.get(b"length")
    text = bytes(stored) if stored is not None else b""
    if not text.isdigit():
        raise RigError(f"The store {path} does not say how many records it has (its key 'length' is "
                       f"{'missing' if stored is None else 'damaged'}); it was not finished, so write it again.")
    return int(text)


def wrong_count(path: Path, length: int) -> RigError:
    """The sentence for a store whose records are not as many as its ``length``."""
    return RigError(f"The store {path} is damaged: it says that it holds {length} records, but does not; delete the folder "
                    "and write it again.")
