"""FaceStore: one LMDB folder of photographs with their codes. Knows records and headers, nothing of what codes mean.

Keys: ``header`` (JSON), ``length`` (decimal count), ``r%08d`` (a record), ``s`` + digest (index of a source),
``x`` + digest (JSON of a refused source). A batch is one transaction, so a killed writer leaves whole batches only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import lmdb

from diffusionrig import __version__
from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.damage import parse_json_object, reading
from diffusionrig.io.files import utf8
from diffusionrig.io.lmdb_files import DATA_FILE, ReadHandle, open_writable, pad_to_pages, speaking, store_folder
from diffusionrig.io.published_store import PublishedStore, is_published, read_length, wrong_count
from diffusionrig.io.record import Record, pack, picture_mark, unpack
from diffusionrig.io.stored_buffers import KINDS

SCHEMA = 1
MOST_PIXELS = 1 << 13
_ENTRIES: dict[str, tuple[tuple[type, ...], Any]] = {
    "image_size": ((int,), 0), "buffers": ((str,), "none"), "complete": ((bool,), False), "encoder": ((str, type(None)), None),
    "head": ((str, type(None)), None), "head_hash": ((str, type(None)), None)}
"""Entries that every header has: their types, and what stands for one that is missing."""

Result = TypeVar("Result")


def _digest(source: str) -> bytes:
    # Names of files may hold bytes that are no text.
    return hashlib.blake2b(source.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _record_key(index: int) -> bytes:
    return b"r%08d" % index


class StoreWriter:
    """Writes a store, or continues one. Use as a context manager.

    ``header`` describes the store (image_size, head, head_hash, encoder, buffers ...); continuing with another value of
    one of its entries is a UsageError. The schema version is added.
    """

    def __init__(self, path: str | Path, header: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.header: dict[str, Any] = {"schema": SCHEMA, "buffers": "none", "complete": False, **header}
        if self.header["buffers"] not in KINDS:
            raise UsageError(f"Buffers can be stored as {', '.join(KINDS)}, not {self.header['buffers']!r}.")
        self._environment = open_writable(self.path)
        try:
            self._commit(self._begin)
        except BaseException:
            self.close()
            raise

    def _begin(self, transaction: lmdb.Transaction) -> None:
        stored = transaction.get(b"header")
        if stored is None:
            if transaction.stat()["entries"]:
                raise UsageError(f"{self.path} holds an LMDB that is not a face store; choose another output folder.")
            self.header["created_by"] = f"diffusionrig {__version__}"
            transaction.put(b"length", b"0")
        else:
            before = read_header(bytes(stored), self.path)
            for name in sorted(self.header.keys() & before.keys() - {"complete"}):
                if before[name] != self.header[name]:
                    raise UsageError(f"The store {self.path} was begun with {name} {before[name]!r}, not "
                                     f"{self.header[name]!r}; continue it as it was or choose another output folder.")
            self.header = {**before, **self.header}
        transaction.put(b"header", _json(self.header))

    def __len__(self) -> int:
        with speaking(self.path), self._environment.begin() as transaction:
            return read_length(transaction, self.path)

    def unknown(self, sources: Sequence[str]) -> list[str]:
        """Those of ``sources`` that are neither stored nor refused yet, in their order."""
        with speaking(self.path), self._environment.begin() as transaction:
            return [source for source in sources if transaction.get(b"s" + _digest(source)) is None
                    and transaction.get(b"x" + _digest(source)) is None]

    def append(self, records: Sequence[Record], refused: Sequence[tuple[str, str]] = ()) -> int:
        """Store ``records`` and note ``refused`` (source, reason) in one transaction; returns how many were new.

        A source that the store knows already is left as it is, so nothing is ever stored twice.
        """
        packed = [(_digest(record.source), pack(record, self.header["buffers"])) for record in records]

        def write(transaction: lmdb.Transaction) -> int:
            first = count = read_length(transaction, self.path)
            for digest, data in packed:
                if transaction.put(b"s" + digest, b"%d" % count, overwrite=False):
                    transaction.put(_record_key(count), data)
                    count += 1
            for source, reason in refused:
                transaction.put(b"x" + _digest(source), _json({"source": source, "reason": reason}), overwrite=False)
            transaction.put(b"length", b"%d" % count)
            return count - first

        return self._commit(write)

    def replace(self, records: Mapping[int, Record], **entries: Any) -> None:
        """Write other contents for records that exist, and entries of the header, in one transaction."""
        packed = {index: pack(record, self.header["buffers"]) for index, record in records.items()}
        self.header.update(entries)

        def write(transaction: lmdb.Transaction) -> None:
            for index, data in packed.items():
                _value(transaction, index, self.path)
                transaction.put(_record_key(index), data)
            transaction.put(b"header", _json(self.header))

        self._commit(write)

    def update_header(self, **entries: Any) -> None:
        """Set entries of the header that become known late (mean shape, complete)."""
        self.header.update(entries)
        self._commit(lambda transaction: transaction.put(b"header", _json(self.header)))

    def record(self, index: int, image: bool = True) -> Record:
        """Read back what was written."""
        with speaking(self.path), self._environment.begin() as transaction:
            return unpack(_value(transaction, index, self.path), f"record {index} of {self.path}", image)

    def refused(self) -> list[tuple[str, str]]:
        """(source, reason) of every photograph that was left out, sorted by source."""
        with speaking(self.path), self._environment.begin() as transaction:
            return _refused(transaction, self.path)

    def _commit(self, write: Callable[[lmdb.Transaction], Result]) -> Result:
        with speaking(self.path):
            while True:
                try:
                    with self._environment.begin(write=True) as transaction:
                        result = write(transaction)
                    pad_to_pages(self._environment, self.path / DATA_FILE)
                    return result
                except lmdb.MapResizedError:  # another process has written to it meanwhile
                    self._environment.set_mapsize(0)
                except lmdb.MapFullError:
                    self._environment.set_mapsize(2 * self._environment.info()["map_size"])

    def close(self) -> None:
        self._environment.close()

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


class StoreReader:
    """Reads a store by index, from any thread; may be forked or sent to other processes."""

    def __init__(self, path: str | Path) -> None:
        self.path = store_folder(path)
        self._handle = ReadHandle(self.path)
        with self._handle.transaction() as transaction:
            stored = transaction.get(b"header")
            if stored is None:
                raise RigError(f"{self.path} is not a face store: it has no header; give the folder that create-data "
                               "wrote.")
            self.header = read_header(bytes(stored), self.path)
            self._length = read_length(transaction, self.path)
            for index, wanted in ((self._length - 1, True), (self._length, False)):
                if index >= 0 and (transaction.get(_record_key(index)) is not None) != wanted:
                    raise wrong_count(self.path, self._length)

    def __len__(self) -> int:
        return self._length

    def record(self, index: int, image: bool = True) -> Record:
        """Record ``index``; without ``image`` its picture and buffers are not even read from disk."""
        with self._handle.transaction() as transaction:
            return unpack(self._value(transaction, index), f"record {index} of {self.path}", image)

    def record_bytes(self, index: int) -> int:
        """Size of a record, without LMDB's own overhead."""
        with self._handle.transaction() as transaction:
            return len(self._value(transaction, index))

    def mark(self, index: int) -> bytes:
        """What tells the picture of record ``index`` from others: its size and checksum, read without the picture."""
        with self._handle.transaction() as transaction:
            return picture_mark(self._value(transaction, index), f"record {index} of {self.path}")

    def refused(self) -> list[tuple[str, str]]:
        """(source, reason) of every photograph that was left out, sorted by source."""
        with self._handle.transaction() as transaction:
            return _refused(transaction, self.path)

    def _value(self, transaction: lmdb.Transaction, index: int) -> bytes | memoryview:
        if not 0 <= index < self._length:
            raise IndexError(f"record {index} of {self._length}")
        return _value(transaction, index, self.path)


def open_store(path: str | Path) -> StoreReader | PublishedStore:
    """A reader for the store at ``path``, ours or a published one."""
    return PublishedStore(path) if is_published(path) else StoreReader(path)


def read_header(stored: bytes, path: Path) -> dict[str, Any]:
    """The header of a store; RigError when it is damaged or of another schema version."""
    with reading(f"The header of the store {path}", "is damaged", "delete the folder and run create-data again"):
        header = parse_json_object(stored)
        schema = header["schema"]
    if schema != SCHEMA:
        raise RigError(f"The store {path} has schema version {schema}, but this version of diffusionrig reads {SCHEMA}; "
                       "run create-data again or use the version that wrote it.")
    for name, (kinds, otherwise) in _ENTRIES.items():
        if not isinstance(header.setdefault(name, otherwise), kinds):
            raise RigError(f"The header of the store {path} is damaged: {name} is {type(header[name]).__name__}; delete the folder "
                           "and run create-data again.")
    if not 0 <= header["image_size"] <= MOST_PIXELS:
        raise RigError(f"The header of the store {path} is damaged: its pictures are said to have {header['image_size']} pixels a "
                       "side; delete the folder and run create-data again.")
    return header


def _value(transaction: lmdb.Transaction, index: int, path: Path) -> bytes | memoryview:
    data = transaction.get(_record_key(index))
    if data is None:
        raise RigError(f"The store {path} is damaged: record {index} is missing; delete the folder and run create-data "
                       "again.")
    return data


def _refused(transaction: lmdb.Transaction, path: Path) -> list[tuple[str, str]]:
    with transaction.cursor() as cursor:
        # "x" is the last prefix in use, so everything from there on is a refusal.
        values = [bytes(value) for _, value in cursor] if cursor.set_range(b"x") else []
    with reading(f"A note on what was refused in the store {path}", "is damaged", "delete the folder and run create-data again"):
        entries = [parse_json_object(value) for value in values]
        return sorted((str(entry["source"]), str(entry["reason"])) for entry in entries)


def _json(value: Any) -> bytes:
    return utf8(json.dumps(value, ensure_ascii=False, allow_nan=False))
