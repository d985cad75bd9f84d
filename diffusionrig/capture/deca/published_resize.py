"""DiffusionRig's reading of photographs: brought to a square and truncated to bytes, value for value as published.

The published loader resizes every picture with scikit-image (order 1, anti-aliasing) and truncates the result, even when
the picture has that size already, which then makes about 9 % of the values one smaller. Weights trained on such codes
expect them, and truncation amplifies the last bit: so the sums here run in the order of scikit-image and SciPy.
"""

from __future__ import annotations

import numpy as np

REACH = 4.0
"""The blur ends at so many standard deviations."""


def published_resize(image: np.ndarray, side: int) -> np.ndarray:
    """(H, W, 3) uint8 -> (side, side, 3) uint8; a picture that is not square loses its proportions, as published."""
    values = image * (1.0 / 255.0)
    height, width = image.shape[:2]
    if height == width == side:
        return (values * 255.0).astype(np.uint8)
    rows, columns = _Axis(height, side), _Axis(width, side)
    blurred = _along_columns(_along_rows(values, rows), columns)
    (y0, y1), (x0, x1) = rows.taps, columns.taps
    (wy0, wy1), (wx0, wx1) = rows.weights[:, :, None, None], columns.weights[:, None, :, None]
    top, bottom = blurred[y0] * wy0, blurred[y1] * wy1
    mixed = top[:, x0] * wx0
    mixed += top[:, x1] * wx1
    mixed += bottom[:, x0] * wx0
    mixed += bottom[:, x1] * wx1
    np.clip(mixed, values.min(), values.max(), out=mixed)
    return (mixed * 255.0).astype(np.uint8)


class _Axis:
    """One axis of ``length`` pixels brought to ``side``.

    used     the pixels, ascending, that any result lies between
    taps     (2, side) places in ``used`` of the two pixels a result lies between, and their ``weights`` (2, side)
    kernel   the blur's weights from the middle outwards; just [1] when the picture does not shrink
    """

    def __init__(self, length: int, side: int) -> None:
        self.length = length
        factor = length / side
        sigma = max(0.0, (factor - 1) / 2)
        offsets = np.arange(int(REACH * sigma + 0.5), -1, -1) if sigma > 0 else np.zeros(1)
        both = np.exp(-0.5 / (sigma * sigma) * np.concatenate([-offsets, offsets[-2::-1]]) ** 2) if sigma > 0 else np.ones(1)
        self.kernel = (both / both.sum())[len(offsets) - 1:]
        place = (np.arange(side) + 0.5) * factor - 0.5
        first = np.floor(place)
        share = place - first
        self.weights = np.stack([1 - share, share])
        pixels = mirrored(np.stack([first, first + 1]).astype(np.int64), length)
        self.used, places = np.unique(pixels, return_inverse=True)
        self.taps = places.reshape(2, side)


def mirrored(index: np.ndarray, length: int) -> np.ndarray:
    """Pixels beyond the ends are those on the other side of the end pixel's centre."""
    if length == 1:
        return np.zeros_like(index)
    period = 2 * (length - 1)
    index = np.abs(index) % period
    return np.where(index >= length, period - index, index)


def _along_rows(values: np.ndarray, axis: _Axis) -> np.ndarray:
    """Blurred over rows, only the rows that are used."""
    if len(axis.kernel) == 1:
        return values[axis.used]
    total = np.empty((len(axis.used), *values.shape[1:]))
    distances = range(len(axis.kernel) - 1, 0, -1)
    before = [mirrored(axis.used - distance, axis.length) for distance in distances]
    after = [mirrored(axis.used + distance, axis.length) for distance in distances]
    pair = np.empty(values.shape[1:])
    # Row by row, so that the sums stay in the cache.
    for i, row in enumerate(axis.used):
        line = np.multiply(values[row], axis.kernel[0], out=total[i])
        for first, second, weight in zip(before, after, axis.kernel[:0:-1]):
            np.add(values[first[i]], values[second[i]], out=pair)
            pair *= weight
            line += pair
    return total


def _along_columns(values: np.ndarray, axis: _Axis) -> np.ndarray:
    """Blurred over columns, only the columns that are used."""
    if len(axis.kernel) == 1:
        return values[:, axis.used]
    return _along_rows(np.ascontiguousarray(values.transpose(1, 0, 2)), axis).transpose(1, 0, 2)
