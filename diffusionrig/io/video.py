"""Reading frames of a video, through PyAV, which carries its own codecs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diffusionrig.errors import RigError
from diffusionrig.io.files import existing_file

VIDEO_SUFFIXES = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".vid", ".ebm")
"""Endings, in lower case, by which a file is taken for a video."""


def frames_at(path: str | Path, shares: Sequence[float] | np.ndarray) -> Iterator[np.ndarray]:
    """The frames at these increasing shares (0..1) of a video's length, each (H, W, 3) uint8 RGB.

    Decodes once from the start, so it is exact for every codec. RigError when the file cannot be decoded or is empty.
    """
    import av

    file = existing_file(path, "video")
    try:
        with av.open(str(file)) as container:
            stream = container.streams.video[0]
            total = stream.frames or sum(1 for _ in container.decode(stream))
            if total == 0:
                raise RigError(f"The video {file} holds no frames.")
            wanted = [min(int(share * total), total - 1) for share in shares]
            container.seek(0)
            position = 0
            for index, frame in enumerate(container.decode(stream)):
                while position < len(wanted) and wanted[position] == index:
                    yield _upright(frame)
                    position += 1
                if position == len(wanted):
                    return
    except (av.FFmpegError, IndexError) as error:
        raise RigError(f"The video {file} cannot be decoded ({error}); convert it to MP4.") from error


def frame_count(path: str | Path) -> int:
    """How many frames a video has; decodes it where the file does not say. RigError when it is no readable video."""
    import av

    file = existing_file(path, "video")
    try:
        with av.open(str(file)) as container:
            stream = container.streams.video[0]
            return stream.frames or sum(1 for _ in container.decode(stream))
    except (av.FFmpegError, IndexError) as error:
        raise RigError(f"The video {file} cannot be decoded ({error}); convert it to MP4.") from error


def all_frames(path: str | Path, every: int = 1) -> Iterator[tuple[int, np.ndarray]]:
    """Number, counted from 0, and pixels (H, W, 3) uint8 RGB of every ``every``-th frame, decoded as they are asked for.

    RigError when the file cannot be decoded; a video that is cut short gives the frames before the cut, then the error.
    """
    import av

    file = existing_file(path, "video")
    try:
        with av.open(str(file)) as container:
            for number, frame in enumerate(container.decode(container.streams.video[0])):
                if number % every == 0:
                    yield number, _upright(frame)
    except (av.FFmpegError, IndexError) as error:
        raise RigError(f"The video {file} cannot be decoded ({error}); convert it to MP4.") from error


def _upright(frame: Any) -> np.ndarray:
    """The pixels as players show them: telephones record lying frames and note how to turn them."""
    pixels = np.asarray(frame.to_ndarray(format="rgb24"))
    quarters = round(getattr(frame, "rotation", 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(pixels, quarters)) if quarters else pixels


def find_videos(folder: str | Path) -> list[Path]:
    """Video files under ``folder`` by their ending, sorted by path; hidden ones and those in hidden folders are left out."""
    root = Path(folder)
    return sorted(path for path in root.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()
                  and not any(part.startswith(".") for part in path.relative_to(root).parts))
