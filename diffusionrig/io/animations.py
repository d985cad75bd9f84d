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

_LARGEST = 40
"""Pictures of the largest size that an animation may take to decode; of a screen of 1920 x 1080 pixels about 80 s."""

_LEAST = 0.01
"""Megapixels that a frame counts as at least: a million frames of one pixel take long, too."""


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

    RigError when the file is damaged, larger than ``max_megapixels`` million pixels, or has more than 40 times as many in all its
    frames; this is known before any is decoded.
    """
    file = existing_file(path, "animated picture")
    number = 0
    try:
        with Image.open(file, formats=_FORMATS) as image:
            refuse_large(image, str(file), max_megapixels)
            count = getattr(image, "n_frames", 1)
            _refuse_long(image.size, count, file, max_megapixels)
            for number in range(count):
                image.seek(number)
                image.load()
                stays = float(image.info.get("duration") or 0)
                yield (stays if stays > _HURRY else _SLOW) / 1000, np.ascontiguousarray(np.asarray(to_rgb(image.copy())))
    except RigError:
        raise
    except DAMAGE as error:
        raise_faults(error)
        raise RigError(f"{file} is damaged at frame {number} ({short_reason(error)}); copy it again or remove it.") from error


def _refuse_long(size: tuple[int, int], count: int, file: Path, max_megapixels: float) -> None:
    """RigError when all frames together have too many pixels: files that repeat one blank frame are small."""
    total = count * max(size[0] * size[1] / 1e6, _LEAST)
    if total > _LARGEST * max_megapixels:
        raise RigError(f"{file} has {count} frames of {size[0]} x {size[1]} pixels, which count as {total:.0f} megapixels, more "
                       f"than the {_LARGEST * max_megapixels:g} that an animated picture may have; convert it to MP4 or raise "
                       "--max_megapixels.")
