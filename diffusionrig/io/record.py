"""One photograph of a store as bytes: its codes first, its picture last, so that codes can be read without the picture.

Layout, version 1 (little endian):

    4 bytes   b"DRS1"
    4 bytes   length of the head, unsigned
    4 bytes   CRC-32 of head and arrays
    head      JSON: source, fields, arrays [[name, dtype, shape], ...], image [bytes, crc], buffers {...} or null
    arrays    raw values one after another
    image     a PNG file
    buffers   see ``stored_buffers``
"""

from __future__ import annotations

import dataclasses
import json
import math
import struct
import zlib
from typing import Any

import numpy as np

from diffusionrig.io.damage import parse_json_object, reading
from diffusionrig.io.files import utf8
from diffusionrig.io.stored_buffers import decode_buffers, encode_buffers

_MAGIC = b"DRS1"
_PREFIX = struct.Struct("<4sII")
_DTYPES = {"<f4", "<f8", "<f2", "<i4", "<i8", "|u1", "|b1"}


@dataclasses.dataclass
class Record:
    """source   where the photograph came from, unique within a store
    image    PNG file, 8-bit RGB, S x S (empty when only the codes were asked for)
    arrays   the codes by name
    fields   anything JSON can hold: labels, notes, flags
    buffers  (9, S, S) float32 rendered, normal, albedo; None when they are to be rendered from the codes
    """

    source: str
    image: bytes
    arrays: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    fields: dict[str, Any] = dataclasses.field(default_factory=dict)
    buffers: np.ndarray | None = None


def pack(record: Record, buffer_kind: str = "none") -> bytes:
    """``record`` as bytes; ``buffer_kind`` none|uint8|float16 says how its buffers are stored."""
    arrays = {name: np.ascontiguousarray(array) for name, array in record.arrays.items()}
    table = [[name, array.dtype.newbyteorder("<").str, list(np.shape(record.arrays[name]))]
             for name, array in arrays.items()]
    strange = [dtype for _, dtype, _ in table if dtype not in _DTYPES]
    if strange:
        raise TypeError(f"a record cannot hold arrays of dtype {strange[0]}")
    values = b"".join(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes() for array in arrays.values())
    about, blob = (None, b"") if record.buffers is None else encode_buffers(record.buffers, buffer_kind)
    head = utf8(json.dumps({"source": record.source, "fields": record.fields, "arrays": table,
                       "image": [len(record.image), zlib.crc32(record.image)], "buffers": about},
                      separators=(",", ":"), ensure_ascii=False, allow_nan=False))
    return _PREFIX.pack(_MAGIC, len(head), zlib.crc32(values, zlib.crc32(head))) + head + values + record.image + blob


def unpack(data: bytes | memoryview, what: str, image: bool = True) -> Record:
    """The record in ``data``; without ``image`` neither picture nor buffers are touched. RigError when damaged."""
    view = memoryview(data)
    with reading(what, "is damaged", "write the store again"):
        magic, length, checksum = _PREFIX.unpack_from(view)
        start = _PREFIX.size + length
        if magic != _MAGIC or start > len(view):
            raise ValueError("not a record")
        # The head says how long the arrays are, so it is parsed before its own checksum can be verified.
        head = parse_json_object(bytes(view[_PREFIX.size:start]))
        shapes = [(str(name), _dtype(dtype), _shape(shape)) for name, dtype, shape in head["arrays"]]
        end = start + sum(math.prod(shape) * dtype.itemsize for _, dtype, shape in shapes)
        if end > len(view) or zlib.crc32(view[_PREFIX.size:end]) != checksum:
            raise ValueError("wrong checksum")
        if not isinstance(head["source"], str) or not isinstance(head["fields"], dict):
            raise ValueError("it lacks its source or its fields")
        arrays, at = {}, start
        for name, dtype, shape in shapes:
            count = math.prod(shape)
            arrays[name] = np.frombuffer(view, dtype, count, at).reshape(shape).copy()
            at += count * dtype.itemsize
        record = Record(head["source"], b"", arrays, head["fields"])
        if image:
            size, checksum = head["image"]
            record.image = bytes(view[end:end + size])
            if len(record.image) != size or zlib.crc32(record.image) != checksum:
                raise ValueError("the picture has a wrong checksum")
            if head["buffers"] is not None:
                record.buffers = decode_buffers(head["buffers"], bytes(view[end + size:]))
        return record


def picture_mark(data: bytes | memoryview, what: str) -> bytes:
    """Size and checksum of a record's picture as it is stored, as bytes; only the record's head is read."""
    view = memoryview(data)
    with reading(what, "is damaged", "write the store again"):
        _, length, _ = _PREFIX.unpack_from(view)
        size, checksum = parse_json_object(bytes(view[_PREFIX.size:_PREFIX.size + length]))["image"]
        return b"%d %d" % (size, checksum)


def _shape(shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, list) or len(shape) > 32 or not all(type(n) is int and 0 <= n < 1 << 40 for n in shape):
        raise ValueError("an array of no shape")
    return tuple(shape)


def _dtype(name: str) -> np.dtype:
    if not isinstance(name, str) or name not in _DTYPES:
        raise ValueError(f"an array of dtype {name}")
    return np.dtype(name)
