"""Bringing an aligned photograph to the square the network works on."""

from __future__ import annotations

import numpy as np
from PIL import Image


def resize_square(image: np.ndarray, size: int | None = None) -> np.ndarray:
    """The centred square of an (H, W, 3) uint8 image, resized to ``size`` (kept as it is when None).

    The resize widens its filter when shrinking, so nothing aliases; a square image of the right size comes back unchanged.
    """
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top:top + side, left:left + side]
    if size is None or size == side:
        return np.ascontiguousarray(square)
    return np.asarray(Image.fromarray(square).resize((size, size), Image.Resampling.LANCZOS))
