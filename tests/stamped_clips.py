"""Clips whose time stamps, sound, pixel shape and matrices are chosen, written through PyAV."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

MATRICES = {"none": (1, 0, 0, 1), "clockwise": (0, 1, -1, 0), "half": (-1, 0, 0, -1), "counter": (0, -1, 1, 0),
            "left-right": (-1, 0, 0, 1), "top-bottom": (1, 0, 0, -1), "transposed": (0, 1, 1, 0), "anti-transposed": (0, -1, -1, 0)}
"""(a, b, c, d) of a track: the column x, row y is shown at (a x + c y, b x + d y)."""


def levels(count: int) -> list[int]:
    """A grey for each picture, far enough from the next to be told after coding."""
    return [20 + 210 * number // max(count - 1, 1) for number in range(count)]


def greys(count: int, height: int = 64, width: int = 64) -> list[np.ndarray]:
    return [np.full((height, width, 3), level, np.uint8) for level in levels(count)]


def which(frame: np.ndarray, count: int) -> int:
    """Number of the picture of ``greys(count)`` that a frame shows."""
    return int(np.abs(np.array(levels(count)) - float(frame.mean())).argmin())


def write_stamped(path: Path, pictures: Sequence[np.ndarray], times: Sequence[float], *, rate: int = 25, codec: str = "",
                  sound: np.ndarray | None = None, sound_start: float = 0.0, pixel: Fraction | None = None,
                  options: dict[str, str] | None = None) -> Path:
    """``pictures`` at ``times`` (seconds), and mono ``sound`` (n,) float32 at 48 kHz, whose first sample is at ``sound_start``."""
    import av

    # AVI has no stamps: a picture for every unit.
    unit = Fraction(1, rate if path.suffix == ".avi" else 1000)
    webm = path.suffix == ".webm"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec or ("libvpx-vp9" if webm else "libx264"), rate=rate, options=options or {})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = unit
        if pixel is not None:
            stream.sample_aspect_ratio = pixel
        voice: Any = None
        if sound is not None:
            voice = container.add_stream("libopus" if webm else "aac", rate=48000, layout="mono")
        for picture, time in zip(pictures, times):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(time / unit), unit
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if sound is not None:
            for begin in range(0, len(sound), 960):
                block = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound[None, begin:begin + 960]),
                                                   format="flt" if webm else "fltp", layout="mono")
                block.sample_rate, block.time_base = 48000, Fraction(1, 48000)
                block.pts = begin + round(sound_start * 48000)
                container.mux(voice.encode(block))
            container.mux(voice.encode())
    return path


def write_sound(path: Path, sound: np.ndarray, start: float = 0.0) -> Path:
    """Mono ``sound`` (n,) float32 at 48 kHz as AAC, without pictures, its first sample at ``start`` seconds."""
    import av

    with av.open(str(path), "w", format="mp4" if start else None) as container:
        stream: Any = container.add_stream("aac", rate=48000, layout="mono")
        for begin in range(0, len(sound), 1024):
            block = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound[None, begin:begin + 1024]), format="fltp", layout="mono")
            block.sample_rate, block.time_base = 48000, Fraction(1, 48000)
            block.pts = begin + round(start * 48000)
            container.mux(stream.encode(block))
        container.mux(stream.encode())
    return path


def click(seconds: float, at: float) -> np.ndarray:
    """Mono sound at 48 kHz, silent but for a burst of 10 ms ``at`` that many seconds."""
    sound = np.zeros(round(seconds * 48000), np.float32)
    begin = round(at * 48000)
    sound[begin:begin + 480] = 0.8 * np.sin(np.arange(480) * 2 * np.pi * 1000 / 48000)
    return sound


def onset(samples: np.ndarray, rate: int) -> float:
    """Seconds at which the burst of ``click`` begins."""
    loud = np.abs(samples[:, 0])
    return float(np.flatnonzero(loud > 0.25 * loud.max())[0]) / rate


def set_matrix(path: Path, matrix: tuple[int, int, int, int]) -> None:
    """Write the matrix of an mp4's first track, as cameras do."""
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4 + 40  # after version, times, number, length, layer and volume
    a, b, c, d = (value << 16 for value in matrix)
    data[place:place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def set_edit(path: Path, first: int, count: int, rate: int = 25) -> None:
    """Let an mp4's edit list show ``count`` pictures from number ``first`` on."""
    data = bytearray(path.read_bytes())
    place = data.index(b"elst") + 4 + 8
    begin = struct.unpack(">i", data[place + 4:place + 8])[0]
    scale = struct.unpack(">I", data[data.index(b"mdhd") + 16:data.index(b"mdhd") + 20])[0]
    data[place:place + 8] = struct.pack(">Ii", count * 1000 // rate, begin + first * scale // rate)
    path.write_bytes(data)
