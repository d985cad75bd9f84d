"""Contact sheets: labelled grids of images to look at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_PAPER, _INK, _GAP = (250, 250, 248), (40, 40, 40), 4


def contact_sheet(rows: Sequence[Sequence[np.ndarray]], column_titles: Sequence[str] = (),
                  row_titles: Sequence[str] = (), cell: int | None = None) -> np.ndarray:
    """A grid of (H, W, 3) uint8 images, ragged rows allowed, scaled to squares of ``cell`` pixels.

    ``cell`` defaults to the largest image side, at least 96. Small images are enlarged without smoothing, so that
    their pixels can be judged. Returns (H, W, 3) uint8.
    """
    cell = cell or max(96, *(max(image.shape[:2]) for row in rows for image in row))
    letter = max(11, cell // 14)
    font = ImageFont.load_default(size=letter)
    line = int(letter * 1.5)
    head = line if column_titles else 0
    side = max((int(font.getlength(title)) for title in row_titles), default=0)
    side += 2 * _GAP if side else 0
    columns = max(map(len, rows))
    sheet = Image.new("RGB", (side + columns * (cell + _GAP) + _GAP, head + len(rows) * (cell + _GAP) + _GAP), _PAPER)
    pen = ImageDraw.Draw(sheet)
    for j, title in enumerate(column_titles):
        pen.text((side + _GAP + j * (cell + _GAP), _GAP // 2), title, fill=_INK, font=font)
    for i, row in enumerate(rows):
        top = head + _GAP + i * (cell + _GAP)
        if i < len(row_titles):
            pen.text((_GAP, top + cell // 2 - line // 2), row_titles[i], fill=_INK, font=font)
        for j, image in enumerate(row):
            height, width = image.shape[:2]
            scale = cell / max(height, width)
            way = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS
            picture = Image.fromarray(image).resize((max(1, round(width * scale)), max(1, round(height * scale))), way)
            sheet.paste(picture, (side + _GAP + j * (cell + _GAP), top))
    return np.asarray(sheet)


def to_uint8(images: np.ndarray, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """Float images in [low, high], channels first (..., 3, H, W) or (3, H, W), to (..., H, W, 3) uint8, rounded."""
    scaled = (np.clip(images, low, high) - low) * (255.0 / (high - low))
    return np.moveaxis(np.rint(scaled).astype(np.uint8), -3, -1)
