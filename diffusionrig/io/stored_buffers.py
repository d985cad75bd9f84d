"""Rendered buffers kept in a store: quantised, then compressed without further loss. Zero stays exactly zero."""

from __future__ import annotations

import io
import math
import zlib
from typing import Any

import numpy as np

KINDS = ("none", "uint8", "float16")
_PARTS = 3
_LARGEST = 1 << 13
"""Side of the largest picture that a store keeps, pixels."""


def encode_buffers(buffers: np.ndarray, kind: str) -> tuple[dict[str, Any], bytes]:
    """(9, S, S) float32 as (description, bytes).

    uint8: each of the three parts on 255 even steps over its own range, as a lossless WebP picture: the error is at most
    half a step. float16: rounded to half precision, the two bytes of each value apart, deflated.
    """
    if kind == "float16":
        halves = np.ascontiguousarray(buffers, "<f2").view(np.uint8).reshape(-1, 2)
        return {"kind": kind, "shape": list(buffers.shape)}, zlib.compress(np.ascontiguousarray(halves.T).tobytes(), 6)
    if kind != "uint8":
        raise ValueError(f"buffers cannot be stored as {kind!r}")
    blobs, scales = [], []
    for part in np.split(np.asarray(buffers, np.float32), _PARTS):
        low, high = min(float(part.min()), 0.0), max(float(part.max()), 0.0)
        # One of the 256 levels is spent on placing zero, the empty background, exactly on a level.
        step = max((high - low) / 254.0, 1e-12)
        zero = int(np.ceil(-low / step - 1e-6))
        levels = np.clip(np.rint(part / step) + zero, 0, 255).astype(np.uint8)
        blobs.append(_lossless_webp(np.moveaxis(levels, 0, -1)))
        scales.append([step, zero, len(blobs[-1])])
    return {"kind": kind, "shape": list(buffers.shape), "parts": scales}, b"".join(blobs)


def decode_buffers(about: dict[str, Any], data: bytes) -> np.ndarray:
    """The inverse of ``encode_buffers``: (9, S, S) float32. ValueError when the bytes do not fit the description."""
    shape, kind = tuple(about["shape"]), about["kind"]
    if len(shape) != 3 or not all(type(n) is int and 0 < n <= _LARGEST for n in shape):
        raise ValueError("buffers of no shape")
    if kind == "float16":
        return _halves(data, shape)
    if kind != "uint8":
        raise ValueError(f"buffers of kind {str(kind)[:20]!r}")
    parts: list[np.ndarray] = []
    at = 0
    for step, zero, length in about["parts"]:
        if type(length) is not int or not 0 <= length <= len(data) - at or len(parts) == _PARTS:
            raise ValueError("the stored buffers are damaged")
        levels = _levels(data[at:at + length], shape[1:])
        parts.append((levels.astype(np.float32) - np.float32(zero)) * np.float32(step))
        at += length
    buffers = np.concatenate(parts, -1)
    if buffers.shape[-1] != shape[0] or not np.isfinite(buffers).all():
        raise ValueError("the stored buffers are damaged")
    return np.moveaxis(buffers, -1, 0).copy()


def _halves(data: bytes, shape: tuple[int, ...]) -> np.ndarray:
    # No more is unfolded than is wanted: a few bytes can stand for gigabytes.
    wanted = 2 * math.prod(shape)
    values = zlib.decompressobj().decompress(data, wanted + 1)
    if len(values) != wanted:
        raise ValueError("the stored buffers are damaged")
    halves = np.frombuffer(values, np.uint8).reshape(2, -1)
    return np.ascontiguousarray(halves.T).view("<f2").reshape(shape).astype(np.float32)


def _levels(data: bytes, size: tuple[int, ...]) -> np.ndarray:
    """(H, W, 3) of a lossless WebP picture of this size, which its header must say before it is decoded."""
    import cv2
    from PIL import Image

    with Image.open(io.BytesIO(data), formats=("WEBP",)) as header:
        if header.size != size[::-1]:
            raise ValueError("the stored buffers are damaged")
    levels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if levels is None or levels.shape[:2] != size:
        raise ValueError("the stored buffers are damaged")
    return levels[:, :, ::-1]


def _lossless_webp(pixels: np.ndarray) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, "WEBP", lossless=True, exact=True)
    return stream.getvalue()
