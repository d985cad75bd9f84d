"""Reading the PNG pictures that stores keep, fast: their kind and size are known. ``io.images`` reads any picture."""

from __future__ import annotations

import struct

import numpy as np

from diffusionrig.errors import RigError


def png_size(data: bytes) -> tuple[int, int]:
    """(width, height) from a PNG file's header. ValueError when ``data`` is no PNG."""
    if data[:8] != b"\x89PNG\r\n\x1a\n" or data[12:16] != b"IHDR" or len(data) < 33:
        raise ValueError("not a PNG picture")
    width, height = struct.unpack(">II", data[16:24])
    return width, height


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
