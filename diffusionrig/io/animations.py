"""Pictures that move: animated GIF, WebP, AVIF and PNG, with the time that each of their frames stays."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from diffusionrig.errors import RigError
from diffusionrig.io.damage import DAMAGE, raise_faults, short_reason
from diffusionrig.io.files import existing_file
from diffusionrig.io.images import MAX_MEGAPIXELS, refuse_large, to_rgb

_FORMATS = ("GIF", "WEBP", "PNG", "AVIF")
SUFFIXES = (".gif", ".webp", ".png", ".apng", ".avif", ".avifs")
_HURRY, _SLOW = 10.0, 100.0
"""Milliseconds: a frame that is to stay no longer than the first stays for the second in every browser."""


def is_animated(path: str | Path) -> bool:
    """Whether a file is a picture of more than one frame; False for what is none or cannot be read."""
    file = Path(path)
    if file.suffix.lower() not in SUFFIXES or not os.path.isfile(file):
        return False
    try:
        with Image.open(file, formats=_FORMATS) as image:
            return bool(getattr(image, "is_animated", False))
    except DAMAGE as error:
        raise_faults(error)
        return False


def animation_frames(path: str | Path, max_megapixels: float = MAX_MEGAPIXELS) -> Iterator[tuple[float, np.ndarray]]:
    """Seconds that each frame stays, and its pixels (H, W, 3) uint8 RGB, transparency over grey; decoded as they are asked for.

    RigError when the file is damaged or larger than ``max_megapixels`` million pixels.
    """
    file = existing_file(path, "animated picture")
    number = 0
    try:
        with Image.open(file, formats=_FORMATS) as image:
            refuse_large(image, str(file), max_megapixels)
            for number in range(getattr(image, "n_frames", 1)):
                image.seek(number)
                image.load()
                stays = float(image.info.get("duration") or 0)
                yield (stays if stays > _HURRY else _SLOW) / 1000, np.ascontiguousarray(np.asarray(to_rgb(image.copy())))
    except RigError:
        raise
    except DAMAGE as error:
        raise_faults(error)
        raise RigError(f"{file} is damaged at frame {number} ({short_reason(error)}); copy it again or remove it.") from error
