"""Reading pictures of a video as players show them: in their time, upright, with square pixels. PyAV carries its own codecs."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from diffusionrig.errors import RigError
from diffusionrig.io.animations import animation_frames, is_animated
from diffusionrig.io.display import as_shown, square_size
from diffusionrig.io.files import existing_file
from diffusionrig.io.images import MAX_MEGAPIXELS, find_files
from diffusionrig.io.timeline import Timeline, opened, picture_stream, read_timeline

VIDEO_SUFFIXES = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".vid", ".ebm")
"""Endings, in lower case, by which a file is taken for a video."""

_SAME = 1e-4
"""Seconds within which two stamps are one."""

_LOST = 0.5
"""Seconds at the end of a clip that may fail to decode without a word: the last picture stays."""


def is_video(path: str | Path) -> bool:
    """Whether a file is taken for a video, by its ending."""
    return Path(path).suffix.lower() in VIDEO_SUFFIXES and not os.path.isdir(path)


def is_moving(path: str | Path) -> bool:
    """Whether a file is a video or an animated picture."""
    return is_video(path) or is_animated(path)


def frames_at(path: str | Path, shares: Sequence[float] | np.ndarray) -> Iterator[np.ndarray]:
    """The pictures that are shown at these increasing shares (0..1) of a clip's length, each (H, W, 3) uint8 RGB.

    Decodes once from the start, so it is exact for every codec. RigError when the file cannot be decoded or is empty.
    """
    timeline = read_timeline(path)
    return pictures(path, timeline, timeline.timing.at(np.asarray(shares, np.float64) * timeline.timing.seconds))


def frame_count(path: str | Path) -> int:
    """How many pictures a clip shows. RigError when it is no readable video."""
    return len(read_timeline(path).timing)


def all_frames(path: str | Path, every: int = 1, timeline: Timeline | None = None) -> Iterator[tuple[int, np.ndarray]]:
    """Number, counted from 0, and pixels (H, W, 3) uint8 RGB of every ``every``-th picture shown, decoded as they are asked for.

    ``timeline`` is the file's own, where it is known already. RigError when the file cannot be decoded; a video that is cut short
    gives the pictures before the cut, then the error.
    """
    timeline = timeline or read_timeline(path)
    wanted = np.arange(0, len(timeline.timing), every)
    return zip(wanted.tolist(), pictures(path, timeline, wanted))


def pictures(path: str | Path, timeline: Timeline, numbers: np.ndarray, max_megapixels: float = MAX_MEGAPIXELS
             ) -> Iterator[np.ndarray]:
    """The pictures of these numbers, which do not fall, each (H, W, 3) uint8 RGB; one that cannot be decoded is stood in for by the
    one before it. RigError when more than half a second is missing at the end."""
    held: Callable[[], np.ndarray] | None = None
    pixels: np.ndarray | None = None
    last, position = -1, 0
    for number, show in _decoded(existing_file(path, "video"), timeline, max_megapixels):
        while position < len(numbers) and numbers[position] < number:
            pixels = (held or show)() if pixels is None else pixels
            yield pixels
            position += 1
        held, pixels, last = show, None, number
        while position < len(numbers) and numbers[position] == number:
            pixels = show() if pixels is None else pixels
            yield pixels
            position += 1
        if position == len(numbers):
            return
    times = timeline.timing.times
    if held is None or times[numbers[-1]] - times[min(last, len(times) - 1)] > _LOST:
        raise RigError(f"{path} ends after {last + 1} of {len(times)} pictures; copy it again.")
    for _ in range(position, len(numbers)):
        pixels = held() if pixels is None else pixels
        yield pixels


def _decoded(file: Path, timeline: Timeline, max_megapixels: float) -> Iterator[tuple[int, Callable[[], np.ndarray]]]:
    """Number of each picture that decodes, rising, and what makes its pixels."""
    if is_animated(file):
        for number, (_, image) in enumerate(animation_frames(file, max_megapixels)):
            yield number, lambda image=image: image  # type: ignore[misc]
        return
    number, times = -1, timeline.timing.times
    with opened(file) as container:
        stream = picture_stream(container)
        _refuse_large(file, stream.codec_context.width, stream.codec_context.height, timeline, max_megapixels)
        for frame in container.decode(stream):
            _refuse_large(file, frame.width, frame.height, timeline, max_megapixels)
            number += 1
            if timeline.stamped and frame.time is not None:
                # A picture that failed to decode leaves its place to the one before it.
                number = max(number, int(np.searchsorted(times, frame.time - timeline.origin - _SAME)))
            yield number, functools.partial(as_shown, frame, timeline.pixel)


def _refuse_large(file: Path, width: int, height: int, timeline: Timeline, max_megapixels: float) -> None:
    width, height = square_size(width, height, timeline.pixel)
    if width * height > max_megapixels * 1e6:
        raise RigError(f"{file} has pictures of {width} x {height} pixels, more than the limit of {max_megapixels:g} megapixels; "
                       "shrink it or raise --max_megapixels.")


def find_videos(folder: str | Path) -> list[Path]:
    """Video files under ``folder`` by their ending, sorted by path; hidden ones and those in hidden folders are left out."""
    return [file for file in find_files(folder) if is_video(file)]
