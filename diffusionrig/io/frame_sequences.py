"""The frames of a clip, kept as a video file or as a folder of numbered pictures; decoded as they are asked for."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from diffusionrig.errors import RigError
from diffusionrig.io.images import IMAGE_SUFFIXES, png_bytes, read_image
from diffusionrig.io.temporary_files import temporary_name
from diffusionrig.io.timeline import read_timeline
from diffusionrig.io.timing import Timing
from diffusionrig.io.video import pictures


def numbered_pictures(folder: str | Path) -> list[tuple[int, Path]]:
    """Number and file of each picture in ``folder`` whose name is a number (``12.png``, ``0012.jpg``), by number."""
    found = [(int(file.stem), file) for file in Path(folder).iterdir()
             if file.suffix.lower() in IMAGE_SUFFIXES and file.stem.isdecimal()]
    return sorted(found)


def write_frame_folder(folder: str | Path, frames: Iterable[np.ndarray]) -> int:
    """Write (H, W, 3) uint8 ``frames`` as ``1.png``, ``2.png`` ... of a new folder, which appears when all are there; how many."""
    final = Path(folder)
    temporary = temporary_name(final)
    count = 0
    try:
        temporary.mkdir()
        for count, frame in enumerate(frames, 1):
            (temporary / f"{count}.png").write_bytes(png_bytes(frame))
        os.replace(temporary, final)
    except OSError as error:
        raise RigError(f"Cannot write {final}: {error.strerror or error}; free some space or choose another folder.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return count


class FrameSequence:
    """The first ``length`` frames (all, when None) of a clip at ``path``, each (H, W, 3) uint8, ``fps`` a second.

    A video of another rate gives the frame that it shows at each of those moments; without ``fps``, and from a folder, frames come
    as they are. Iterate for all of them, one at a time; ``sequence[i]`` reads one, which for a video decodes everything before it.
    ``timing`` is a video's own, None of a folder. RigError when there are fewer than ``length``, or a number is missing between two
    pictures of a folder.
    """

    def __init__(self, path: str | Path, length: int | None = None, fps: float | None = None) -> None:
        self.path = Path(path)
        self.timing: Timing | None = None
        self._pictures: list[Path] = []
        if self.path.is_dir():
            numbered = numbered_pictures(self.path)
            for (before, _), (after, file) in itertools.pairwise(numbered):
                if after != before + 1:
                    raise RigError(f"{self.path} has no frame {before + 1} before {file.name}; copy the missing pictures.")
            self._pictures = [file for _, file in numbered]
            count = len(numbered)
        else:
            self._timeline = read_timeline(self.path)
            self.timing = self._timeline.timing
            self._numbers = self.timing.numbers(fps) if fps else np.arange(len(self.timing))
            count = len(self._numbers)
        if length is not None and count < length:
            raise RigError(f"{self.path} has {count} frames, but {length} are needed; copy it again or leave the clip out.")
        self._length = count if length is None else length

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[np.ndarray]:
        if self.timing is not None:
            yield from pictures(self.path, self._timeline, self._numbers[:self._length])
        for file in self._pictures[:self._length]:
            yield read_image(file)

    def __getitem__(self, index: int) -> np.ndarray:
        number = range(self._length)[index]
        if self.timing is not None:
            return next(pictures(self.path, self._timeline, self._numbers[number:number + 1]))
        return read_image(self._pictures[number])
