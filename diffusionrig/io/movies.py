"""Writing MP4 through PyAV, which carries its own codecs: H.264 where its build has it, else MPEG-4, and AAC for the sound."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from diffusionrig.errors import RigError
from diffusionrig.io.files import atomic_path, existing_file, short_reason
from diffusionrig.io.sound import Sound

_CODECS = {"libx264": {"crf": "18", "preset": "medium"}, "mpeg4": {"qscale": "3"}}
_SOUND_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_AAC_BLOCK = 1024


@dataclasses.dataclass(frozen=True)
class Movie:
    """What a video file says of itself: ``fps``, ``frames``, pictures' ``codec``, ``seconds`` of pictures, ``sound_seconds``
    (None without sound), ``width``, ``height`` in pixels, and the free ``comment``."""

    fps: float
    frames: int
    codec: str
    seconds: float
    sound_seconds: float | None
    width: int
    height: int
    comment: str


def movie_info(path: str | Path) -> Movie:
    """Rate, length and comment of a video; frames are counted where the file does not say. RigError when it is none."""
    import av

    file = existing_file(path, "video")
    try:
        with av.open(str(file)) as container:
            stream = container.streams.video[0]
            rate = stream.average_rate or stream.guessed_rate
            frames = stream.frames or sum(1 for _ in container.decode(stream))
            if not rate or not frames:
                raise RigError(f"The video {file} holds no frames.")
            sounds = container.streams.audio
            duration = sounds[0].duration * sounds[0].time_base if sounds and sounds[0].duration else None
            return Movie(float(rate), frames, stream.codec_context.name, float(frames / rate),
                         None if duration is None else float(duration), stream.width, stream.height,
                         container.metadata.get("comment", ""))
    except (av.FFmpegError, IndexError) as error:
        raise RigError(f"The video {file} cannot be decoded ({short_reason(error)}); convert it to MP4.") from error


def write_movie(path: str | Path, frames: Iterable[np.ndarray], fps: float, sound: Sound | None = None,
                comment: str = "") -> int:
    """Write (H, W, 3) uint8 RGB ``frames`` of one size as MP4, atomically; returns how many there were.

    Odd sides get one more row or column, as the codec needs even ones. ``sound`` is written as it is: cut it to the length of
    the pictures first (``fit_sound``). ``comment`` is kept in the file. RigError when there are no frames or the disk is full.
    """
    import av

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
                picture = av.VideoFrame.from_ndarray(_even(frame), format="rgb24")
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
