"""Parts of PNG files without the rest: the size, the texts, and the pictures that stores keep, whose kind and size are known.
``io.images`` reads any picture."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from diffusionrig.errors import RigError


def png_size(data: bytes) -> tuple[int, int]:
    """(width, height) from a PNG file's header. ValueError when ``data`` is no PNG."""
    if data[:8] != b"\x89PNG\r\n\x1a\n" or data[12:16] != b"IHDR" or len(data) < 33:
        raise ValueError("not a PNG picture")
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def texts_alone(data: bytes) -> bytes:
    """A PNG of one grey pixel with the text chunks of the PNG file ``data``, wherever they stand; its pixels, of which there may
    be any number, need not be decoded. ValueError when ``data`` is no PNG or is cut short."""
    png_size(data)
    chunks, at = [_chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))], 8
    while (kind := data[at + 4:at + 8]) != b"IEND":
        end = at + 12 + int.from_bytes(data[at:at + 4], "big")
        if end > len(data) - 8:
            raise ValueError("it is cut short")
        if kind in (b"tEXt", b"zTXt", b"iTXt"):
            chunks.append(data[at:end])
        at = end
    return b"".join([data[:8], *chunks, _chunk(b"IDAT", zlib.compress(bytes(2))), _chunk(b"IEND", b"")])


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def decode_png(data: bytes, size: int, what: str) -> np.ndarray:
    """The picture as (size, size, 3) uint8 RGB. RigError when it is damaged or has another size."""
    import cv2

    try:
        width, height = png_size(data)
        # Checked before decoding: a few bytes can announce a picture larger than the memory.
        if (width, height) != (size, size):
            raise ValueError(f"it is {width} x {height} pixels instead of {size} x {size}")
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        if pixels is None:
            raise ValueError("its data are cut off or wrong")
    except (ValueError, cv2.error) as error:
        raise RigError(f"The picture of {what} is damaged: {error}; write the store again.") from error
    return np.ascontiguousarray(pixels[:, :, ::-1])
