"""Writing MP4 through PyAV, which carries its own codecs: H.264 where its build has it, else MPEG-4, and AAC for the sound."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from diffusionrig.errors import RigError
from diffusionrig.io.damage import short_reason
from diffusionrig.io.files import atomic_path
from diffusionrig.io.sound import Sound
from diffusionrig.io.timeline import read_timeline
from diffusionrig.io.video import pictures

_CODECS = {"libx264": {"crf": "18", "preset": "medium"}, "mpeg4": {"qscale": "3"}}
_SOUND_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_AAC_BLOCK = 1024
_BT709, _LIMITED = 1, 1
"""Matrix, primaries and curve of BT.709, and video levels, by their numbers in ISO 23091-2. Players guess from the height of a
picture where a file does not say."""


@dataclasses.dataclass(frozen=True)
class Movie:
    """What a video shows: ``fps``, constant or usual; ``frames`` that are shown; pictures' ``codec``; ``seconds`` of pictures;
    ``sound_seconds`` (None without sound), and ``sound_start``, when it begins after the first picture; ``width`` and ``height``
    in square pixels, upright; the free ``comment``."""

    fps: float
    frames: int
    codec: str
    seconds: float
    sound_seconds: float | None
    width: int
    height: int
    comment: str
    sound_start: float = 0.0


def movie_info(path: str | Path) -> Movie:
    """Rate, length, size and comment of a video, as its time stamps and its first picture say. RigError when it is none."""
    timeline = read_timeline(path)
    height, width = next(pictures(path, timeline, np.zeros(1, int))).shape[:2]
    timing, (begin, end) = timeline.timing, timeline.sound or (0.0, 0.0)
    heard = end - begin if timeline.sound else None
    return Movie(float(timing.rate), len(timing), timeline.codec, timing.seconds, heard, width, height, timeline.comment, begin)


def write_movie(path: str | Path, frames: Iterable[np.ndarray], fps: float, sound: Sound | None = None,
                comment: str = "") -> int:
    """Write (H, W, 3) uint8 RGB ``frames`` of one size as MP4, atomically; returns how many there were.

    Odd sides get one more row or column, as the codec needs even ones. Colours are BT.709's, and said to be. ``sound`` must start
    with the pictures: cut it to their length first (``fit_sound``). ``comment`` is kept in the file. RigError when there are no
    frames or the disk is full.
    """
    import av

    if sound is not None and sound.start:
        raise ValueError(f"write_movie takes sound that starts with the pictures, not {sound.start} s after them; use fit_sound")
    rate = Fraction(fps).limit_denominator(1001)
    stream_of = iter(frames)
    first = next(stream_of, None)
    if first is None:
        raise RigError(f"There are no frames to write to {path}.")
    count = 0
    try:
        with atomic_path(path) as temporary, av.open(str(temporary), "w", format="mp4",
                                                     container_options={"movflags": "+faststart"}) as container:
            if comment:
                container.metadata["comment"] = comment
            pictures = _picture_stream(container, rate, *first.shape[:2])
            voice = None if sound is None else _sound_stream(container, sound)
            blocks = iter(()) if sound is None else _blocks(sound)
            for frame in _again(first, stream_of):
                if frame.shape != first.shape:
                    raise RigError(f"Frame {count} of {path} has {frame.shape[1]} x {frame.shape[0]} pixels, the first has "
                                   f"{first.shape[1]} x {first.shape[0]}; frames of one size are needed.")
                picture = av.VideoFrame.from_ndarray(_even(frame), format="rgb24").reformat(
                    format="yuv420p", dst_colorspace=_BT709, dst_color_range=_LIMITED)
                picture.pts, picture.time_base = count, 1 / rate
                container.mux(pictures.encode(picture))
                count += 1
                if voice is not None and sound is not None:
                    _feed(container, voice, blocks, sound.rate, float(count / rate))
            if voice is not None and sound is not None:
                _feed(container, voice, blocks, sound.rate, float("inf"))
                container.mux(voice.encode())
            container.mux(pictures.encode())
    except av.FFmpegError as error:
        raise RigError(f"Cannot write {path} ({short_reason(error)}); free some space or choose another folder.") from error
    return count


def _again(first: np.ndarray, rest: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    yield first
    yield from rest


def _even(frame: np.ndarray) -> np.ndarray:
    height, width = frame.shape[:2]
    return np.ascontiguousarray(np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge"))


def _picture_stream(container: Any, rate: Fraction, height: int, width: int) -> Any:
    import av

    name = next(name for name in _CODECS if name in av.codecs_available)
    stream = container.add_stream(name, rate=rate, options=_CODECS[name])
    stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
    stream.time_base = stream.codec_context.time_base = 1 / rate
    context = stream.codec_context
    context.colorspace = context.color_primaries = context.color_trc = _BT709
    context.color_range = _LIMITED
    # The same bytes on every machine: libx264 slices by the number of threads.
    stream.codec_context.thread_count = 1
    return stream


def _sound_stream(container: Any, sound: Sound) -> Any:
    rate = sound.rate if sound.rate in _SOUND_RATES else 48000
    return container.add_stream("aac", rate=rate, layout="mono" if sound.samples.shape[1] == 1 else "stereo")


def _blocks(sound: Sound) -> Iterator[tuple[int, np.ndarray]]:
    """First sample and samples (channels, n) of each block that the encoder takes."""
    for start in range(0, len(sound.samples), _AAC_BLOCK):
        yield start, np.ascontiguousarray(sound.samples[start:start + _AAC_BLOCK].T)


def _feed(container: Any, stream: Any, blocks: Iterator[tuple[int, np.ndarray]], rate: int, until: float) -> None:
    """Encode blocks up to ``until`` seconds, so that sound and pictures lie side by side in the file."""
    import av

    for start, samples in blocks:
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono" if len(samples) == 1 else "stereo")
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        container.mux(stream.encode(frame))
        if start / rate >= until:
            return
