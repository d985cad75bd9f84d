"""A clip that was handed to the studio: checked, with its first picture, ready to drive or to be listened to."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.clip_frames import ClipFrames
from diffusionrig.io.jpeg import jpeg_bytes
from diffusionrig.io.video import is_moving

LOOKED_AT = 384
"""Pixels of the longer side of its pictures as the page shows them."""

LONGEST_NAME = 200
"""Bytes of the name under which a clip is kept: its temporary name is longer."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a clip may be: ``upload`` bytes, ``frames``, and ``megapixels`` of each."""

    upload: int = 200_000_000
    frames: int = 3000
    megapixels: float = 100.0

    def sentence(self) -> str:
        """Them in words."""
        return (f"Clips may have {self.upload / 1e6:g} MB, {self.frames} frames and {self.megapixels:g} megapixels a frame; "
                "diffusionrig edit takes longer ones.")


@dataclasses.dataclass(frozen=True, eq=False)
class ClipFile:
    """The clip at ``path``: ``frames`` to come, their size, ``fps``, whether it has sound, and a JPEG of its first picture."""

    path: Path
    frames: ClipFrames
    width: int
    height: int
    sound: bool
    first: bytes

    @property
    def fps(self) -> float:
        """Frames a second, as they are given."""
        assert self.frames.fps is not None
        return self.frames.fps

    def to_json(self) -> dict[str, Any]:
        """What a page says of it."""
        count = len(self.frames)
        return {"name": self.path.name, "frames": count, "fps": round(self.fps, 3), "seconds": round(count / self.fps, 2),
                "width": self.width, "height": self.height, "sound": self.sound}


def open_clip(path: Path, limits: Limits, fps: float | None = None) -> ClipFile:
    """The clip in a file, at ``fps`` frames a second or its own; UsageError when it is none or too long, RigError when it is
    damaged or its pictures are too large."""
    if not is_moving(path):
        raise UsageError(f"{path} is no clip; drop a video, or an animated GIF, WebP, AVIF or PNG.")
    frames = ClipFrames(path, limits.megapixels, fps)
    if len(frames) > limits.frames:
        raise UsageError(f"{path} has {len(frames)} frames. {limits.sentence()}")
    first = frames.first()
    return ClipFile(path, frames, first.shape[1], first.shape[0], frames.sound() is not None, small_jpeg(first))


def small_jpeg(image: np.ndarray, side: int = LOOKED_AT) -> bytes:
    """JPEG of (H, W, 3) uint8, at most ``side`` pixels long."""
    scale = side / max(image.shape[:2])
    if scale < 1:
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return jpeg_bytes(image, 85)


def shortened(error: RigError, folder: Path) -> str:
    """The sentence of an error, with files as they were called when they were handed over."""
    return str(error).replace(f"{folder}/", "").replace(str(folder), "the clip")
