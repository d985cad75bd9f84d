"""WAV files: plain PCM through the standard library, every other kind through PyAV."""

from __future__ import annotations

import contextlib
import dataclasses
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from diffusionrig.errors import RigError
from diffusionrig.io.damage import DAMAGE, raise_faults
from diffusionrig.io.files import atomic_path, existing_file
from diffusionrig.io.sound import Sound, fit_sound, read_sound

_FASTEST, _MOST = 768_000, 64
"""Samples a second and channels of a plausible sound; others are damaged headers."""


@dataclasses.dataclass(frozen=True)
class WavInfo:
    """``rate`` in hertz, ``channels``, and ``samples`` per channel."""

    rate: int
    channels: int
    samples: int

    @property
    def seconds(self) -> float:
        return self.samples / self.rate


def wav_info(path: str | Path) -> WavInfo:
    """Rate, channels and length, read from the header where that is possible. RigError when it is no readable sound."""
    file = existing_file(path, "sound file")
    try:
        with _opened(file) as (sound, width):
            # A file that was cut off says more than it has.
            held = max(0, file.stat().st_size - 44) // width
            return WavInfo(sound.getframerate(), sound.getnchannels(), min(sound.getnframes(), held))
    except DAMAGE as error:  # of another kind than this reader knows, or none
        raise_faults(error)
        decoded = _decoded(file)
        return WavInfo(decoded.rate, decoded.samples.shape[1], len(decoded.samples))


def read_wav(path: str | Path) -> tuple[np.ndarray, int]:
    """Samples (n, channels) float32 in -1..1 and the rate in hertz. RigError when it is no readable sound."""
    file = existing_file(path, "sound file")
    try:
        with _opened(file) as (sound, width):
            data = sound.readframes(sound.getnframes())
            data = data[:len(data) // width * width]
            return _numbers(data, sound.getsampwidth()).reshape(-1, sound.getnchannels()), sound.getframerate()
    except DAMAGE as error:
        raise_faults(error)
        decoded = _decoded(file)
        return decoded.samples, decoded.rate


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[tuple[wave.Wave_read, int]]:
    """The file and the bytes of its samples of one moment; ValueError for a header that no sound has."""
    with wave.open(str(file), "rb") as sound:
        if not 1 <= sound.getframerate() <= _FASTEST or not 1 <= sound.getnchannels() <= _MOST or sound.getsampwidth() > 4:
            raise ValueError("no such sound")
        yield sound, sound.getnchannels() * sound.getsampwidth()


def _decoded(file: Path) -> Sound:
    """What PyAV decodes of a sound file; of a video, the sound from the first picture on."""
    decoded = read_sound(file)
    if decoded is None:
        raise RigError(f"{file} holds no sound; copy it again.")
    return fit_sound(decoded, decoded.end)[0] if decoded.start else decoded


def _numbers(data: bytes, width: int) -> np.ndarray:
    if width == 1:  # 8-bit PCM is unsigned
        return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128
    if width == 3:
        parts = np.frombuffer(data, np.uint8).reshape(-1, 3)
        whole = np.zeros((len(parts), 4), np.uint8)
        whole[:, 1:] = parts
        return whole.view("<i4")[:, 0].astype(np.float32) / 2.0**31
    return np.frombuffer(data, f"<i{width}").astype(np.float32) / 2.0 ** (8 * width - 1)


def write_wav(path: str | Path, samples: np.ndarray, rate: int) -> None:
    """Write (n, channels) int16 as a WAV file, atomically."""
    if samples.dtype != np.int16 or samples.ndim != 2:
        raise ValueError(f"write_wav takes (n, channels) int16, not {samples.shape} {samples.dtype}")
    with atomic_path(path) as temporary, wave.open(str(temporary), "wb") as sound:
        sound.setnchannels(samples.shape[1])
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(np.ascontiguousarray(samples, "<i2").tobytes())
