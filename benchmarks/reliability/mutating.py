"""Damaging files: at random, and beneath their checksums, so that what lies inside is reached too."""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Callable

import numpy as np

from reliability.inputs import rezipped

Random = np.random.Generator
EXTREME = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x10000000, 0x3FFFFFFF, (1 << 63) - 1, 1 << 63,
           (1 << 64) - 1)
NUMBERS = ("0", "-1", "1", "9" * 18, "9" * 30, "-9223372036854775809", "1e308", "-1e308", "1e999", "1e39", "NaN", "Infinity",
           "1e-400", "0.5", "null", "true", '"x"', "[]", "{}", "9" * 5000)
NESTING = (b"[", b"{", b'{"a":', b"(", b"- ", b"? ", b"&a [", b"\x80\x02", b"]", b"(((", b"<a>", b"\x00")
MARKS = (b"\n", b"\x1b[31m", b"\xff\xfe", b"\xe2\x80\xae", b"\x00", b"\r")


def flip_bits(data: bytes, random: Random) -> bytes:
    changed = bytearray(data)
    for place in _places(len(data), random, int(random.integers(1, 9))):
        changed[place] ^= 1 << int(random.integers(8))
    return bytes(changed)


def cut(data: bytes, random: Random) -> bytes:
    return data[:int(random.integers(len(data) + 1))]


def cut_start(data: bytes, random: Random) -> bytes:
    return data[int(random.integers(1, len(data) + 1)):]


def insert(data: bytes, random: Random) -> bytes:
    place = _places(len(data), random, 1)[0]
    kind, size = int(random.integers(4)), int(2 ** random.uniform(0, 12))
    block = (random.bytes(size) if kind == 0 else bytes(size) if kind == 1 else b"\xff" * size if kind == 2
             else MARKS[int(random.integers(len(MARKS)))])
    return data[:place] + block + data[place:]


def repeat(data: bytes, random: Random) -> bytes:
    start = _places(len(data), random, 1)[0]
    block = data[start:start + int(2 ** random.uniform(0, 10))]
    return data[:start] + block * int(random.integers(2, 40)) + data[start:]


def delete(data: bytes, random: Random) -> bytes:
    start = _places(len(data), random, 1)[0]
    return data[:start] + data[start + int(2 ** random.uniform(0, 10)):]


def blank(data: bytes, random: Random) -> bytes:
    start, size = _places(len(data), random, 1)[0], int(2 ** random.uniform(0, 10))
    return data[:start] + bytes(min(size, len(data) - start)) + data[start + size:]


def swap_number(data: bytes, random: Random) -> bytes:
    """A whole number of 1 to 8 bytes becomes an extreme one, in either order of bytes."""
    size = int(random.choice((1, 2, 4, 4, 8)))
    place = _places(max(1, len(data) - size), random, 1)[0]
    value = EXTREME[int(random.integers(len(EXTREME)))] & ((1 << 8 * size) - 1)
    return data[:place] + value.to_bytes(size, "little" if random.integers(2) else "big") + data[place + size:]


def swap_text_number(data: bytes, random: Random) -> bytes:
    """A number that is written out becomes another, whose length may differ."""
    found = list(re.finditer(rb"-?\d+(\.\d+)?", data))
    if not found:
        return swap_number(data, random)
    one = found[int(random.integers(len(found)))]
    return data[:one.start()] + NUMBERS[int(random.integers(len(NUMBERS)))].encode() + data[one.end():]


def swap_words(data: bytes, random: Random) -> bytes:
    """Two words of the file change places: names of types, keys, marks of sections."""
    found = list(re.finditer(rb"[A-Za-z_]{3,}", data))
    if len(found) < 2:
        return flip_bits(data, random)
    first, second = sorted(random.choice(len(found), 2, replace=False).tolist())
    a, b = found[first], found[second]
    return data[:a.start()] + b[0] + data[a.end():b.start()] + a[0] + data[b.end():]


def nest(data: bytes, random: Random) -> bytes:
    place = _places(len(data), random, 1)[0]
    return data[:place] + NESTING[int(random.integers(len(NESTING)))] * int(2 ** random.uniform(1, 17)) + data[place:]


PLAIN: tuple[Callable[[bytes, Random], bytes], ...] = (flip_bits, cut, cut_start, insert, repeat, delete, blank, swap_number,
                                                       swap_number, swap_text_number, swap_text_number, swap_words, nest)


def mutate(data: bytes, name: str, random: Random) -> tuple[bytes, str]:
    """The damaged file and the name of what was done to it."""
    within = {b"PK\x03\x04": _in_zip, b"\x89PNG": _in_png, b"DRS1": _in_record}.get(data[:4])
    if name in ("safetensors", "adapter"):
        within = _in_safetensors
    if within is not None and random.random() < 0.6:
        return within(data, random)
    return _any(data, random)


def _any(data: bytes, random: Random) -> tuple[bytes, str]:
    done = []
    for _ in range(1 if random.random() < 0.7 else int(random.integers(2, 5))):
        change = PLAIN[int(random.integers(len(PLAIN)))]
        data = change(data, random) if data else data
        done.append(change.__name__)
    return data, "+".join(done)


def _places(length: int, random: Random, count: int) -> list[int]:
    """Half of them near the start, where headers are."""
    ends = [min(length, 160) if random.random() < 0.5 else length for _ in range(count)]
    return [int(random.integers(max(1, end))) if length else 0 for end in ends]


def _in_zip(data: bytes, random: Random) -> tuple[bytes, str]:
    import io

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        name = names[int(random.integers(len(names)))]
        changed, done = _any(archive.read(name), random)
        packed = any(member.compress_type for member in archive.infolist())
    if random.random() < 0.1:
        changed, done = changed + bytes(int(2 ** random.uniform(10, 26))), "swollen"
    kind = zipfile.ZIP_DEFLATED if packed or done == "swollen" else zipfile.ZIP_STORED
    return rezipped(data, {name: changed}, kind), f"inside: {done}"


def _in_png(data: bytes, random: Random) -> tuple[bytes, str]:
    chunks, at = [], 8
    while at + 12 <= len(data):
        length = struct.unpack(">I", data[at:at + 4])[0]
        chunks.append([data[at + 4:at + 8], data[at + 8:at + 8 + length]])
        at += 12 + length
    chosen = chunks[int(random.integers(len(chunks)))]
    if chosen[0] == b"IDAT" and random.random() < 0.5:
        plain, done = _any(zlib.decompress(b"".join(body for name, body in chunks if name == b"IDAT")), random)
        chosen[1] = zlib.compress(plain)
        chunks = [chunk for chunk in chunks if chunk is chosen or chunk[0] != b"IDAT"]
    else:
        chosen[1], done = _any(chosen[1], random)
    return data[:8] + b"".join(struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
                               for name, body in chunks), f"inside: {done}"


def _in_record(data: bytes, random: Random) -> tuple[bytes, str]:
    """The head or the arrays of a store's record, under the right checksum."""
    length = struct.unpack("<I", data[4:8])[0]
    head, rest = data[12:12 + length], data[12 + length:]
    head, done = _any(head, random)
    sizes = (4 * 10 + 4 * 6,)
    return b"DRS1" + struct.pack("<II", len(head), zlib.crc32(rest[:sizes[0]], zlib.crc32(head))) + head + rest, f"inside: {done}"


def _in_safetensors(data: bytes, random: Random) -> tuple[bytes, str]:
    length = struct.unpack("<Q", data[:8])[0]
    head, done = _any(data[8:8 + length], random)
    return struct.pack("<Q", len(head)) + head + data[8 + length:], f"inside: {done}"
