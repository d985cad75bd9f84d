"""Decoded pictures as players show them: with square pixels, turned and mirrored as the file says."""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import Any

import numpy as np

from diffusionrig.errors import RigError

_WIDEST = 16
"""A pixel that is more than this many times wider than high, or the reverse, is a damaged header."""


def as_shown(frame: Any, pixel: Fraction | None) -> np.ndarray:
    """Pixels (H, W, 3) uint8 RGB of a decoded PyAV ``frame``; ``pixel`` is how many times wider than high one of its pixels is
    (None or 0: square)."""
    width, height = square_size(frame.width, frame.height, pixel)
    if (width, height) == (frame.width, frame.height):
        pixels = np.asarray(frame.to_ndarray(format="rgb24"))
    else:
        pixels = np.asarray(frame.to_ndarray(format="rgb24", width=width, height=height, interpolation="BICUBIC"))
    return np.ascontiguousarray(upright(pixels, display_matrix(frame)))


def square_size(width: int, height: int, pixel: Fraction | None) -> tuple[int, int]:
    """Width and height with square pixels: the side that is squashed is stretched. RigError for a shape no camera has."""
    if not pixel or pixel == 1:
        return width, height
    if pixel < 0 or not Fraction(1, _WIDEST) <= pixel <= _WIDEST:
        raise RigError(f"Its pixels are said to be {float(pixel):g} times wider than high; convert the video to square pixels.")
    return (round(width * pixel), height) if pixel > 1 else (width, round(height / pixel))


def display_matrix(frame: Any) -> tuple[int, int, int, int]:
    """(a, b, c, d) of a frame: the column x, row y is shown at (a x + c y, b x + d y), up to shift and scale; the identity where
    the file says nothing. PyAV's ``frame.rotation`` takes a mirrored picture for a turned one."""
    for part in frame.side_data:
        if part.type.name == "DISPLAYMATRIX" and part.buffer_size >= 36:
            a, b, _, c, d, *_ = struct.unpack("=9i", bytes(memoryview(part))[:36])
            return a, b, c, d
    return 1, 0, 0, 1


def upright(pixels: np.ndarray, matrix: tuple[int, int, int, int]) -> np.ndarray:
    """(H, W, 3) pixels under the nearest of the eight turns and mirrorings; unchanged for a matrix that is none."""
    a, b, c, d = matrix
    if max(abs(a), abs(d)) >= max(abs(b), abs(c)):
        across, down = a, d
    else:
        pixels = pixels.transpose(1, 0, 2)
        across, down = c, b
    if across < 0:
        pixels = pixels[:, ::-1]
    return pixels[::-1] if down < 0 else pixels
