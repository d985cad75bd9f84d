"""What is to be captured: photographs, and frames of videos, each with a name of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.images import find_images, read_image
from diffusionrig.io.temporary_files import fitting
from diffusionrig.io.timeline import read_timeline
from diffusionrig.io.unread import unread_files
from diffusionrig.io.video import all_frames, find_videos, frame_count, is_video

_LONGEST = 200
"""Bytes of the name of a picture's results; "_frame000123_albedo.png" and the like follow it."""


@dataclasses.dataclass(frozen=True)
class Picture:
    """One photograph or frame.

    file     path of the photograph or of the video
    name     what its results are called, unique within a run
    frame    number of the frame, counted from 0; None for a photograph
    image    (H, W, 3) uint8 RGB; None when it could not be read, and then ``failure`` says why
    seconds  from the first frame to this one, as the video shows them; None for a photograph
    """

    file: str
    name: str
    frame: int | None = None
    image: np.ndarray | None = None
    failure: str = ""
    seconds: float | None = None

    @property
    def source(self) -> str:
        """The file, with the number of the frame behind a ``#`` where it is a video's."""
        return self.file if self.frame is None else f"{self.file}#{self.frame}"


def listed_inputs(paths: Sequence[str]) -> list[Path]:
    """The files named, and the images and videos in the folders named, in order, each once.

    UsageError when a path does not exist or there is nothing to capture.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        if not path.exists():
            raise UsageError(f"There is no file or folder {path}; check the path.")
        files += sorted([*find_images(path), *find_videos(path)]) if path.is_dir() else [path]
    if not files:
        raise UsageError(f"No image files were found in {', '.join(map(str, paths))}.")
    return list(dict.fromkeys(files))


def unread_inputs(paths: Sequence[str], files: Sequence[Path], output_dir: str) -> list[str]:
    """Pictures and videos in the folders of ``paths`` that are not among the ``files`` listed: of kinds that are not read."""
    return [str(file) for path in dict.fromkeys(paths) if Path(path).is_dir() for file in unread_files(path, files, output_dir)]


def result_names(files: Sequence[Path]) -> list[str]:
    """One name per file for its results: the stem, with a number where another file has taken it."""
    names: list[str] = []
    taken: set[str] = set()
    for file in files:
        stem = fitting(file.stem, most=_LONGEST)
        name, number = stem, 0
        while name.lower() in taken:
            number += 1
            name = f"{stem}_{number}"
        names.append(name)
        taken.add(name.lower())
    return names


def count_pictures(files: Sequence[Path], every: int = 1) -> int:
    """How many pictures ``read_pictures`` will give; a video that cannot be read counts as one."""
    total = 0
    for file in files:
        try:
            total += -(-frame_count(file) // every) if is_video(file) else 1
        except RigError:
            total += 1
    return total


def read_pictures(files: Sequence[Path], max_megapixels: float, every: int = 1) -> Iterator[Picture]:
    """Every photograph, and every ``every``-th frame of every video, read as it is asked for; failures are given too."""
    names = result_names(files)
    for file, name in zip(files, names):
        if not is_video(file):
            try:
                yield Picture(str(file), name, image=read_image(file, max_megapixels))
            except RigError as error:
                yield Picture(str(file), name, failure=str(error))
            continue
        start = f"{name}_frame"
        while any(other.lower().startswith(start.lower()) for other in names):
            start = f"{start}_"
        try:
            timeline = read_timeline(file)
            for number, frame in all_frames(file, every, timeline):
                seconds = round(float(timeline.timing.times[number]), 4)
                yield Picture(str(file), f"{start}{number:04d}", number, frame, seconds=seconds)
        except RigError as error:
            yield Picture(str(file), name, failure=str(error))
