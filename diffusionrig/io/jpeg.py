"""Small pictures for pages: JPEG bytes, and the address under which a page carries them within itself."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image


def jpeg_bytes(image: np.ndarray, quality: int = 90) -> bytes:
    """An (H, W, 3) uint8 image as JPEG with full colour resolution; the same input gives the same bytes."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def embedded(image: np.ndarray) -> str:
    """A ``data:`` address that holds the picture."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg_bytes(image)).decode("ascii")
