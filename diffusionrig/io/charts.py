"""Line charts as pictures: a grid of panels, each with its own axes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

PAPER, INK, GRID, FAINT = (250, 250, 248), (40, 40, 40), (226, 226, 222), (168, 190, 212)
STRONG = (24, 88, 150)
_FINE = 2  # drawn this many times larger and shrunk, so that lines are smooth
_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 14, 30, 24


@dataclasses.dataclass(frozen=True)
class Line:
    """``y`` over ``x``, both (N,) and finite; with ``dots`` each point is marked."""

    x: np.ndarray
    y: np.ndarray
    colour: tuple[int, int, int] = STRONG
    width: float = 1.6
    dots: bool = False


@dataclasses.dataclass(frozen=True)
class Panel:
    """One chart. On a logarithmic scale values of zero and less are left out."""

    title: str
    lines: Sequence[Line]
    log: bool = False


def line_charts(panels: Sequence[Panel], heading: str = "", columns: int = 3, width: int = 420, height: int = 230) -> np.ndarray:
    """(H, W, 3) uint8: the panels row by row, sharing the range of x, under a heading."""
    head = 34 if heading else 0
    rows = math.ceil(len(panels) / columns)
    sheet = Image.new("RGB", (columns * width * _FINE, (rows * height + head) * _FINE), PAPER)
    pen = ImageDraw.Draw(sheet)
    if heading:
        pen.text((12 * _FINE, 9 * _FINE), heading, fill=INK, font=_font(15))
    spans = [line.x for panel in panels for line in panel.lines if len(line.x)]
    low, high = (min(x.min() for x in spans), max(x.max() for x in spans)) if spans else (0.0, 1.0)
    span = (float(low), float(high if high > low else low + 1))
    for number, panel in enumerate(panels):
        row, column = divmod(number, columns)
        _draw(pen, panel, span, (column * width, head + row * height, width, height))
    return np.asarray(sheet.resize((sheet.width // _FINE, sheet.height // _FINE), Image.Resampling.LANCZOS))


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) within [low, high], at most ``most``."""
    for exponent in range(math.floor(math.log10(max(high - low, 1e-300))) - 1, 400):
        for lead in (1, 2, 5):
            step = lead * 10.0**exponent
            first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
            if last - first < most:
                return [number * step for number in range(first, last + 1)]
    return []


def log_ticks(low: float, high: float) -> list[float]:
    """Numbers 1, 2, 5 times powers of ten within [low, high]; over more than two decades the powers alone; over less than a third
    of one, round numbers."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    leads = (1,) if math.log10(high / low) > 2 else (1, 2, 5)
    found = [lead * 10.0**power for power in powers for lead in leads if low <= lead * 10.0**power <= high]
    return found if len(found) > 1 else ticks(low, high)


def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size * _FINE)


def _text(value: float) -> str:
    if value and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.2g}".replace("e-0", "e-").replace("e+0", "e")
    return f"{value:.0f}" if abs(value) >= 1e4 else f"{value:.4g}"


def _range(panel: Panel) -> tuple[float, float] | None:
    values = np.concatenate([line.y[line.y > 0] if panel.log else line.y for line in panel.lines])
    if not len(values):
        return None
    low, high = float(values.min()), float(values.max())
    if panel.log:
        edge = (high / low) ** 0.04 if high > low else 1.2
        return low / edge, high * edge
    edge = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    return low - edge, high + edge


def _draw(pen: ImageDraw.ImageDraw, panel: Panel, span: tuple[float, float], place: tuple[int, int, int, int]) -> None:
    left, top, width, height = place
    x0, x1, y0, y1 = (value * _FINE for value in (left + _LEFT, left + width - _RIGHT, top + _TOP, top + height - _BOTTOM))
    pen.text((x0, (top + 8) * _FINE), panel.title, fill=INK, font=_font(12))
    extent = _range(panel)
    low, high = extent or (0.0, 1.0)
    scale = math.log10 if panel.log and extent else float
    bottom, size = scale(low), scale(high) - scale(low)

    def across(x: float) -> float:
        return x0 + (x - span[0]) / (span[1] - span[0]) * (x1 - x0)

    def up(y: float) -> float:
        return y1 - (scale(y) - bottom) / size * (y1 - y0)

    small = _font(10)
    for value in log_ticks(low, high) if panel.log and extent else ticks(low, high):
        pen.line([(x0, up(value)), (x1, up(value))], fill=GRID, width=_FINE)
        pen.text((x0 - 6 * _FINE, up(value)), _text(value), fill=INK, font=small, anchor="rm")
    for value in ticks(*span):
        pen.line([(across(value), y0), (across(value), y1)], fill=GRID, width=_FINE)
        pen.text((across(value), y1 + 5 * _FINE), _text(value), fill=INK, font=small, anchor="ma")
    pen.rectangle([x0, y0, x1, y1], outline=(150, 150, 148), width=_FINE)
    for line in panel.lines:
        points = [(across(x), up(y)) for x, y in zip(line.x.tolist(), line.y.tolist()) if y > 0 or not panel.log]
        if len(points) > 1:
            pen.line(points, fill=line.colour, width=round(line.width * _FINE), joint="curve")
        if line.dots or len(points) == 1:
            for x, y in points:
                r = 2.6 * _FINE
                pen.ellipse([x - r, y - r, x + r, y + r], fill=line.colour)
