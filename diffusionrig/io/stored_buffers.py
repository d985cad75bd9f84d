"""Rendered buffers kept in a store: quantised, then compressed without further loss. Zero stays exactly zero."""

from __future__ import annotations

import io
import zlib
from typing import Any

import numpy as np

KINDS = ("none", "uint8", "float16")
_PARTS = 3


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
    shape = tuple(map(int, about["shape"]))
    if about["kind"] == "float16":
        halves = np.frombuffer(zlib.decompress(data), np.uint8).reshape(2, -1)
        return np.ascontiguousarray(halves.T).view("<f2").reshape(shape).astype(np.float32)
    if about["kind"] != "uint8":
        raise ValueError(f"buffers of kind {about['kind']!r}")
    import cv2

    parts, at = [], 0
    for step, zero, length in about["parts"]:
        levels = cv2.imdecode(np.frombuffer(data[at:at + length], np.uint8), cv2.IMREAD_COLOR)
        if levels is None or levels.shape[:2] != shape[1:]:
            raise ValueError("the stored buffers are damaged")
        parts.append((levels[:, :, ::-1].astype(np.float32) - np.float32(zero)) * np.float32(step))
        at += length
    return np.moveaxis(np.concatenate(parts, -1), -1, 0).copy()


def _lossless_webp(pixels: np.ndarray) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, "WEBP", lossless=True, exact=True)
    return stream.getvalue()
