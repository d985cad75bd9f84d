"""The frames of one clip, whether it is a video, a folder of pictures in their numbers' order, or a single picture."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.files import sha256_of
from diffusionrig.io.images import find_images, read_image
from diffusionrig.io.movies import movie_info
from diffusionrig.io.video import VIDEO_SUFFIXES, all_frames


def is_video(path: str | Path) -> bool:
    """Whether a file is taken for a video, by its ending."""
    return Path(path).suffix.lower() in VIDEO_SUFFIXES and not Path(path).is_dir()


def _natural(path: Path) -> list[tuple[bool, int, str]]:
    """``frame_9`` before ``frame_10``."""
    return [(not word.isdecimal(), int(word) if word.isdecimal() else 0, word) for word in re.split(r"(\d+)", path.stem) if word]


class ClipFrames:
    """A clip at ``path``; iterate for its frames, (H, W, 3) uint8, one at a time.

    length    number of frames; 1 for a picture
    fps       of a video; None for pictures, which do not say
    UsageError when there is nothing at ``path``, RigError when it cannot be read.
    """

    def __init__(self, path: str | Path, max_megapixels: float = 100.0) -> None:
        self.path, self._limit = Path(path), max_megapixels
        if not self.path.exists():
            raise UsageError(f"There is no clip at {self.path}; check the path.")
        self.fps: float | None = None
        self._files: list[Path] = []
        if is_video(self.path):
            movie = movie_info(self.path)
            self.fps, self.length = movie.fps, movie.frames
            return
        self._files = sorted(find_images(self.path, recursive=False), key=_natural) if self.path.is_dir() else [self.path]
        self.length = len(self._files)
        if not self._files:
            raise UsageError(f"The folder {self.path} holds no pictures; name the folder that holds the frames of one clip.")

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[np.ndarray]:
        if self.fps is None:
            for file in self._files:
                yield read_image(file, self._limit)
        else:
            for _, pixels in all_frames(self.path):
                yield pixels

    def first(self) -> np.ndarray:
        """The first frame; RigError when a video shows none."""
        for frame in self:
            return frame
        raise RigError(f"The video {self.path} holds no frames.")

    def addresses(self, count: int) -> list[str]:
        """Where each of ``count`` frames is: a picture's path, or ``video#number``; the last one stands for those beyond."""
        numbers = [min(number, self.length - 1) for number in range(count)]
        return [f"{self.path}#{number}" if self.fps is not None else str(self._files[number]) for number in numbers]

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

    def identity(self) -> str:
        """What tells this clip from another: the hash of a file, or names, sizes and times of a folder's pictures."""
        if not self.path.is_dir():
            return sha256_of(self.path)
        return ";".join(f"{file.name}:{(stat := file.stat()).st_size}:{stat.st_mtime_ns}" for file in self._files)
