"""Reading what ``torch.save`` wrote, of any age, without torch's own unpickler: names are checked, tensors are read when asked.

Both formats are known: the zip of torch 1.6 and later, and the one before it (a row of pickles, then the raw numbers).
Sizes that a file declares are held against the bytes that are there before memory is taken; compressed zips, which torch
never writes, are refused.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import math
import struct
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from diffusionrig.errors import RigError
from diffusionrig.io.damage import DAMAGE, raise_faults
from diffusionrig.io.files import existing_file
from diffusionrig.io.unpickle import RefusedPickle, RestrictedUnpickler, Stub, encoded_text, pickle_reason, refusal

_LEGACY_MAGIC, _LEGACY_PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_STORAGES = {"Double": torch.float64, "Float": torch.float32, "Half": torch.float16, "BFloat16": torch.bfloat16,
             "Long": torch.int64, "Int": torch.int32, "Short": torch.int16, "Char": torch.int8, "Byte": torch.uint8,
             "Bool": torch.bool}
_MOST_DIMENSIONS = 16
_SMALL = 1 << 24
"""Bytes that tensors of any file may take, however short it is."""


class _StorageType(Stub):
    dtype = torch.float32


_TYPES = {f"torch.{name}Storage": type(f"{name}Storage", (_StorageType,), {"dtype": dtype})
          for name, dtype in _STORAGES.items()}


@dataclasses.dataclass
class LazyStorage:
    """Numbers that are still in the file: ``count`` of ``dtype`` under ``key``."""

    key: str
    dtype: torch.dtype
    count: int


@dataclasses.dataclass
class LazyTensor:
    """A view of a LazyStorage; ``TorchFile.load`` makes a tensor of it."""

    storage: LazyStorage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def rebuild_tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: object) -> LazyTensor:
    """What ``torch._utils._rebuild_tensor_v2`` stands for here; ValueError when the view leaves its storage."""
    size, stride = tuple(size), tuple(stride)
    whole = all(type(n) is int and n >= 0 for n in (offset, *size, *stride))
    if not isinstance(storage, LazyStorage) or not whole or len(size) != len(stride) or len(size) > _MOST_DIMENSIONS:
        raise ValueError("a tensor is described wrongly")
    number = 1
    for n in size:
        number *= n
    last = offset + sum((n - 1) * step for n, step in zip(size, stride)) if number else 0
    # An expanded tensor (stride 0) could declare any size; none of the files holds one.
    if number and (last >= storage.count or number > storage.count):
        raise ValueError(f"a tensor of shape {size} is larger than its {storage.count} stored numbers")
    return LazyTensor(storage, offset, size, stride)


def _parameter(data: Any, *_: object) -> Any:
    return data


def _ordered(pairs: Any = ()) -> OrderedDict[str, Any]:
    if not isinstance(pairs, (list, tuple)) or not all(
            isinstance(pair, (list, tuple)) and len(pair) == 2 and isinstance(pair[0], str) for pair in pairs):
        raise RefusedPickle("collections.OrderedDict of something else than named values")
    return OrderedDict(pairs)  # Python 2 hands them over at once, Python 3 one after another


TENSOR_NAMES: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor_v2": rebuild_tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "collections.OrderedDict": _ordered,
    "_codecs.encode": encoded_text,
    "torch.Size": lambda items=(): tuple(items),
}


class _TorchUnpickler(RestrictedUnpickler):
    """Finds tensors' numbers by persistent ids: ("storage", type, key, device, count[, view])."""

    def __init__(self, stream: BinaryIO, allowed: Mapping[str, Callable[..., Any]], families: Mapping[str, type[Stub]],
                 storages: dict[str, LazyStorage]) -> None:
        super().__init__(stream, {**_TYPES, **allowed}, families)
        self._storages = storages

    def persistent_load(self, key: Any) -> LazyStorage:
        if not isinstance(key, tuple) or len(key) not in (5, 6) or key[0] != "storage":
            raise RefusedPickle("an outside object")
        kind, name, count = key[1], key[2], key[4]
        if not (isinstance(kind, type) and issubclass(kind, _StorageType)) or type(name) is not str or type(count) is not int:
            raise ValueError("a storage is described wrongly")
        if len(key) == 6 and key[5] is not None:
            raise ValueError("it holds views of storages, as torch before 1.0 wrote them")
        found = self._storages.setdefault(name, LazyStorage(name, kind.dtype, count))
        if found.dtype != kind.dtype or found.count != count or count < 0:
            raise ValueError("a storage is described in two ways")
        return found


class TorchFile:
    """``tree``: what was saved, with a LazyTensor for each tensor. Use ``open_torch``."""

    def __init__(self, stream: BinaryIO, allowed: Mapping[str, Callable[..., Any]], families: Mapping[str, type[Stub]]) -> None:
        self._stream = stream
        self._length = stream.seek(0, io.SEEK_END)
        self._places: dict[str, tuple[int, int, int | None]] = {}  # key: start, bytes, CRC-32
        storages: dict[str, LazyStorage] = {}

        def unpickler(source: BinaryIO) -> _TorchUnpickler:
            return _TorchUnpickler(source, allowed, families, storages)

        stream.seek(0)
        zipped = stream.read(4) == b"PK\x03\x04"
        self.tree: Any = self._open_zip(unpickler) if zipped else self._open_legacy(unpickler, storages)
        for storage in storages.values():
            wanted = storage.count * storage.dtype.itemsize
            if self._places.get(storage.key, (0, -1, None))[1] < wanted:
                raise ValueError(f"it promises {wanted} bytes of numbers under {storage.key[:20]!r} that it does not hold")

    def _open_zip(self, unpickler: Callable[[BinaryIO], _TorchUnpickler]) -> Any:
        with zipfile.ZipFile(self._stream) as archive:
            members = archive.infolist()
            if any(member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size
                   for member in members) or sum(member.file_size for member in members) > self._length:
                raise ValueError("it is a compressed zip, which torch does not write")
            pickles = [member for member in members if member.filename.split("/")[1:] == ["data.pkl"]]
            if len(pickles) != 1:
                raise ValueError("it is a zip without data.pkl")
            folder = pickles[0].filename.split("/")[0]
            for member in members:
                start = self._data_start(member)
                if member.filename == f"{folder}/byteorder" and archive.read(member) != b"little":
                    raise ValueError("its numbers are big-endian")
                if member.filename.startswith(f"{folder}/data/"):
                    self._places[member.filename.split("/", 2)[2]] = (start, member.file_size, member.CRC or None)
            return unpickler(io.BytesIO(archive.read(pickles[0]))).load()

    def _data_start(self, member: zipfile.ZipInfo) -> int:
        self._stream.seek(member.header_offset)
        header = self._stream.read(30)
        if len(header) < 30 or header[:4] != b"PK\x03\x04":
            raise ValueError("its zip directory is damaged")
        start = member.header_offset + 30 + sum(struct.unpack("<HH", header[26:30]))
        if start + member.file_size > self._length:
            raise ValueError("it is cut off")
        return start

    def _open_legacy(self, unpickler: Callable[[BinaryIO], _TorchUnpickler], storages: dict[str, LazyStorage]) -> Any:
        self._stream.seek(0)
        if self._stream.read(2) != b"\x80\x02":
            raise ValueError("it does not begin as a torch file does")
        self._stream.seek(0)
        if unpickler(self._stream).load() != _LEGACY_MAGIC or unpickler(self._stream).load() != _LEGACY_PROTOCOL:
            raise ValueError("it does not begin as a torch file does")
        system = unpickler(self._stream).load()
        if not isinstance(system, dict) or system.get("little_endian") is not True:
            raise ValueError("its numbers are big-endian")
        tree, keys = unpickler(self._stream).load(), unpickler(self._stream).load()
        for key in keys if isinstance(keys, list) else []:
            length = self._stream.read(8)
            if len(length) < 8 or key not in storages:
                raise ValueError("it is cut off")
            size = struct.unpack("<q", length)[0] * storages[key].dtype.itemsize
            start = self._stream.tell()
            if size < 0 or start + size > self._length:
                raise ValueError("it is cut off or promises more numbers than it holds")
            self._places[key] = (start, size, None)
            self._stream.seek(start + size)
        return tree

    def load(self, lazy: LazyTensor) -> Tensor:
        """The tensor, on the CPU, contiguous, in memory of its own; ValueError when its bytes are damaged."""
        if lazy.storage.count == 0 or 0 in lazy.size:
            return torch.empty(lazy.size, dtype=lazy.storage.dtype)
        return _view(self._numbers(lazy.storage), lazy)

    def _numbers(self, storage: LazyStorage) -> Tensor:
        start, length, checksum = self._places[storage.key]
        data = bytearray(length)
        self._stream.seek(start)
        if self._stream.readinto(data) != length:  # type: ignore[attr-defined]
            raise ValueError("it is cut off")
        if checksum is not None and zlib.crc32(data) != checksum:
            raise ValueError(f"the numbers under {storage.key!r} do not match their checksum")
        return torch.frombuffer(data, dtype=storage.dtype, count=storage.count)

    def load_all(self) -> Any:
        """``tree`` with a tensor for each lazy one; ValueError when its bytes are damaged or it repeats them without end."""
        held: dict[str, Tensor] = {}
        made: dict[int, Any] = {}
        room = 4 * self._length + _SMALL

        def loaded(value: Any) -> Any:
            nonlocal room
            if not isinstance(value, (LazyTensor, dict, list, tuple)):
                return value
            # What is meant once is made once, however often the pickle refers to it.
            if id(value) in made:
                return made[id(value)]
            if isinstance(value, LazyTensor):
                storage = value.storage
                room -= math.prod(value.size) * storage.dtype.itemsize
                if room < 0:
                    raise ValueError("its tensors repeat their numbers without end")
                if storage.count == 0 or 0 in value.size:
                    made[id(value)] = torch.empty(value.size, dtype=storage.dtype)
                else:
                    if storage.key not in held:
                        held[storage.key] = self._numbers(storage)
                    # In the layout it was saved in (channels last, for one): another would round otherwise when training goes on.
                    made[id(value)] = torch.as_strided(held[storage.key], value.size, value.stride, value.offset).clone()
            elif isinstance(value, dict):
                table = made[id(value)] = type(value)()
                table.update((key, loaded(item)) for key, item in value.items())
            elif isinstance(value, list):
                row = made[id(value)] = []
                row += map(loaded, value)
            else:
                made[id(value)] = tuple(map(loaded, value))
            return made[id(value)]

        return loaded(self.tree)


def _view(numbers: Tensor, lazy: LazyTensor) -> Tensor:
    view = torch.as_strided(numbers, lazy.size, lazy.stride, lazy.offset)
    return view if view.is_contiguous() and view.numel() == len(numbers) else view.clone(memory_format=torch.contiguous_format)


@contextlib.contextmanager
def torch_errors(what: str) -> Iterator[None]:
    """One sentence about the file ``what`` for whatever reading it raises."""
    try:
        yield
    except RigError:
        raise
    except RefusedPickle as error:
        raise refusal(what, error) from None
    except DAMAGE as error:
        raise_faults(error)
        raise RigError(f"{what} is damaged, cut off or not a torch file ({pickle_reason(error)}); "
                       "copy or download it again.") from error


@contextlib.contextmanager
def open_torch(path: str | Path, what: str, allowed: Mapping[str, Callable[..., Any]] | None = None,
               families: Mapping[str, type[Stub]] | None = None) -> Iterator[TorchFile]:
    """Open a file of ``torch.save``; names beyond those of tensors must be in ``allowed`` or ``families``.

    UsageError when there is no such file; RigError in one sentence when it is damaged or names anything else, also
    for errors within the ``with`` block.
    """
    file = existing_file(path, what)
    with torch_errors(str(file)), open(file, "rb") as stream:
        yield TorchFile(stream, {**TENSOR_NAMES, **(allowed or {})}, families or {})


def read_torch(path: str | Path, what: str) -> Any:
    """What ``torch.save`` wrote, on the CPU: tensors in plain containers, nothing else. Errors as ``open_torch``."""
    with open_torch(path, what) as file:
        return file.load_all()


def storage_from_bytes(data: Any) -> tuple[TorchFile, LazyStorage]:
    """The one storage in the inner torch bytes of a pickled tensor; the file keeps its numbers until they are read."""
    inner = TorchFile(io.BytesIO(data if isinstance(data, bytes) else bytes(data, "latin1")), TENSOR_NAMES, {})
    if not isinstance(inner.tree, LazyStorage):
        raise ValueError("a tensor without numbers")
    return inner, inner.tree
