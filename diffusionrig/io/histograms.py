"""Plots of how values are spread, drawn with Pillow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_PAPER, _INK, _BAR, _MARK = (250, 250, 248), (40, 40, 40), (96, 132, 176), (196, 72, 56)
_WIDTH, _HEIGHT, _MARGIN, _BINS = 300, 170, 26, 24


def histograms(panels: Sequence[tuple[str, np.ndarray]], columns: int = 3) -> np.ndarray:
    """A sheet (H, W, 3) uint8 with one histogram of each (title, values); the red line is the mean. NaN values are left out."""
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    sheet = Image.new("RGB", (columns * _WIDTH, rows * _HEIGHT), _PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=11)
    for at, (title, values) in enumerate(panels):
        left, top = at % columns * _WIDTH + _MARGIN, at // columns * _HEIGHT + _MARGIN
        right, bottom = left + _WIDTH - 2 * _MARGIN, top + _HEIGHT - 2 * _MARGIN
        defined = np.asarray(values, np.float64)
        defined = defined[np.isfinite(defined)]
        pen.text((left, top - 18), title, fill=_INK, font=font)
        pen.line([(left, bottom), (right, bottom)], fill=_INK)
        if not len(defined):
            pen.text((left + 8, (top + bottom) // 2), "not defined", fill=_INK, font=font)
            continue
        low, high = float(defined.min()), float(defined.max())
        if high - low <= 1e-9 * max(1.0, abs(low), abs(high)):
            low, high = low - 0.5, high + 0.5
        counts, edges = np.histogram(defined, _BINS, (low, high))
        wide = (right - left) / _BINS
        for i, count in enumerate(counts):
            if count:
                tall = (bottom - top - 6) * count / counts.max()
                pen.rectangle([left + i * wide, bottom - tall, left + (i + 1) * wide - 1, bottom - 1], fill=_BAR)
        x = left + (right - left) * (defined.mean() - edges[0]) / (edges[-1] - edges[0])
        pen.line([(x, top), (x, bottom)], fill=_MARK, width=2)
        pen.text((left, bottom + 3), f"{edges[0]:.4g}", fill=_INK, font=font)
        end = f"{edges[-1]:.4g}"
        pen.text((right - font.getlength(end), bottom + 3), end, fill=_INK, font=font)
        most = f"{counts.max()} of {len(defined)}"
        pen.text((right - font.getlength(most), top - 18), most, fill=_INK, font=font)
    return np.asarray(sheet)
