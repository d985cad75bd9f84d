"""The frames of one clip: a video, an animated picture, a folder of pictures in their numbers' order, or a single picture."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.files import sha256_of
from diffusionrig.io.images import find_images, read_image
from diffusionrig.io.sound import Sound, read_sound
from diffusionrig.io.timeline import Timeline, read_timeline
from diffusionrig.io.unread import unread_files, unread_sentence
from diffusionrig.io.video import is_moving, pictures


def _natural(path: Path) -> list[tuple[bool, int, str]]:
    """``frame_9`` before ``frame_10``."""
    return [(not word.isdecimal(), int(word) if word.isdecimal() else 0, word) for word in re.split(r"(\d+)", path.stem) if word]


class ClipFrames:
    """A clip at ``path``; iterate for its frames, (H, W, 3) uint8, one at a time, ``fps`` a second.

    length    number of frames; 1 for a picture
    fps       of a video or an animated picture: the rate asked for, else its own; None for pictures, which do not say
    retimed   whether frames are repeated or left out so that each stands at its time, since the clip has another rate or none;
              never with ``retime`` False, which gives every frame once
    UsageError when there is nothing at ``path``, RigError when it cannot be read.
    """

    def __init__(self, path: str | Path, max_megapixels: float = 100.0, fps: float | None = None, retime: bool = True) -> None:
        self.path, self._limit = Path(path), max_megapixels
        if not self.path.exists():
            raise UsageError(f"There is no clip at {self.path}; check the path.")
        self.fps: float | None = None
        self.retimed = False
        self._files: list[Path] = []
        self._timeline: Timeline | None = None
        if is_moving(self.path):
            self._timeline = read_timeline(self.path, max_megapixels)
            timing, rate = self._timeline.timing, fps or self._timeline.timing.rate
            self.fps, self.retimed = float(rate), retime and not timing.keeps(rate)
            self._numbers = timing.numbers(rate) if retime else np.arange(len(timing))
            self.length = len(self._numbers)
            return
        self._files = sorted(find_images(self.path, recursive=False), key=_natural) if self.path.is_dir() else [self.path]
        self.length = len(self._files)
        if not self._files:
            raise UsageError(f"The folder {self.path} holds no pictures; name the folder that holds the frames of one clip.")

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[np.ndarray]:
        if self._timeline is not None:
            yield from pictures(self.path, self._timeline, self._numbers, self._limit)
        for file in self._files:
            yield read_image(file, self._limit)

    def sound(self) -> Sound | None:
        """The sound of a video, which begins at its ``start``; None where there is none. RigError when it cannot be decoded."""
        return None if self._timeline is None or self._timeline.sound is None else read_sound(self.path)

    def first(self) -> np.ndarray:
        """The first frame; RigError when a video shows none."""
        for frame in self:
            return frame
        raise RigError(f"The video {self.path} holds no frames.")

    def addresses(self, count: int) -> list[str]:
        """Where each of ``count`` frames is: a picture's path, or ``video#number``, counted in the video's own pictures; the last
        one stands for those beyond."""
        places = [min(place, self.length - 1) for place in range(count)]
        return [str(self._files[place]) if self._timeline is None else f"{self.path}#{self._numbers[place]}" for place in places]

    def held(self, count: int) -> Iterator[np.ndarray]:
        """``count`` frames: the clip's own, then its last one again."""
        frame, number = None, 0
        for frame in self:
            if number == count:
                return
            yield frame
            number += 1
        if frame is None:
            raise RigError(f"{self.path} holds no frames.")
        for _ in range(count - number):
            yield frame

    def unread(self) -> str:
        """A sentence about pictures and videos of other kinds in the folder of frames, which are not among them; "" without."""
        others = unread_files(self.path, self._files, recursive=False) if self.path.is_dir() else []
        return unread_sentence(others)

    def identity(self) -> str:
        """What tells this clip from another: the hash of a file, with the rate where it is not its own, or names, sizes and times
        of a folder's pictures."""
        if not self.path.is_dir():
            return sha256_of(self.path) + (f" at {self.fps:g} fps" if self.retimed else "")
        return ";".join(f"{file.name}:{(stat := file.stat()).st_size}:{stat.st_mtime_ns}" for file in self._files)
