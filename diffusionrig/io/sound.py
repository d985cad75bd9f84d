"""The sound of a sound file or of a video, and laying it beside pictures."""

from __future__ import annotations

import dataclasses
from itertools import chain
from pathlib import Path

import numpy as np

from diffusionrig.errors import RigError
from diffusionrig.io.files import existing_file
from diffusionrig.io.mixing import in_range, stereo
from diffusionrig.io.timeline import opened, read_timeline

_PRIMING = 1024
"""Samples of silence that every AAC encoder puts first; containers say so, a bare ``.aac`` stream cannot."""

_LEAP = 0.04
"""Seconds by which a stamp must be later than the samples before it for there to be a pause; Matroska's are rounded to 0.001."""

_LONGEST_PAUSE = 600.0
"""Seconds of silence within a sound that its stamps may leave."""

_SMALL, _UNFOLDED = 1 << 28, 256
"""Bytes that the numbers of any sound may take, or so many times those of the file: Opus at its lowest rate unfolds that far."""

_HEARD = 0.1
"""Seconds of sound that may be cut or wanting without a word."""


@dataclasses.dataclass(frozen=True)
class Sound:
    """``samples`` (n, channels) float32 in -1..1, one or two channels, and their ``rate`` in hertz.

    ``start``  seconds from the first picture of the video to the first sample, below zero for sound that begins earlier; of a sound
    file what its edit list says, else 0
    """

    samples: np.ndarray
    rate: int
    start: float = 0.0

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate

    @property
    def end(self) -> float:
        """Seconds from the first picture to the end of the sound."""
        return self.start + self.seconds


def read_sound(path: str | Path) -> Sound | None:
    """All of the sound of a sound file or video; None for a video without. RigError when the file cannot be decoded.

    More than two channels are mixed down to two, without clipping. Pauses that the time stamps leave are silence.
    """
    import av
    from av.stream import Disposition

    file = existing_file(path, "sound or video file")
    with opened(file, "sound of") as container:
        if not container.streams.audio:
            if container.streams.video:
                return None
            raise RigError(f"{file} holds neither sound nor pictures; give a WAV file or a video with sound.")
        stream = container.streams.audio[0]
        rate, plain = int(stream.rate), stream.codec_context.name.startswith("pcm_f")
        # It changes the type of the numbers alone: the mixing of channels that it offers exceeds 1. Channels lie side by side
        # ("flt"), since PyAV reads beyond the planes of eight or more.
        resampler = av.AudioResampler(format="flt", rate=rate)
        blocks: list[np.ndarray] = []
        channels: list[str] = []
        start, held = None, 0
        room_taken, room = 0, max(_SMALL, _UNFOLDED * file.stat().st_size)
        for frame in chain(container.decode(stream), [None]):
            parts = []
            for part in resampler.resample(frame):
                channels = [channel.name for channel in part.layout.channels]
                # Whether numbers were scaled is seen before they are mixed; other sound is mixed at once, to save room.
                block = part.to_ndarray().reshape(-1, len(channels))
                parts.append(block if plain else stereo(block, channels))
            if frame is not None and start is None:
                start = frame.time or 0.0
            elif frame is not None and parts and frame.time is not None and frame.time - start - held / rate > _LEAP:
                parts.insert(0, _silence(frame.time - start - held / rate, rate, parts[0].shape[1], file))
            blocks += parts
            held += sum(map(len, parts))
            if sum(part.nbytes for part in parts) + room_taken > room:
                raise RigError(f"The sound of {file} unfolds to far more than the file; convert it to WAV.")
            room_taken += sum(part.nbytes for part in parts)
        primed, edited = container.format.name == "aac", container.format.name.startswith("mov")
        moving = any(not stream.disposition & Disposition.attached_pic for stream in container.streams.video)
    if not sum(map(len, blocks)):
        raise RigError(f"{file} holds no sound; copy it again or leave it out.")
    samples = np.ascontiguousarray(stereo(in_range(np.concatenate(blocks), file, plain), channels), np.float32)
    if primed and len(samples) > _PRIMING:
        samples = samples[_PRIMING:]
    # Beside pictures; by an edit list; other sound files have no clock but their own beginning.
    origin = read_timeline(file).origin if moving else 0.0 if edited else start or 0.0
    return Sound(samples, rate, (start or 0.0) - origin)


def _silence(seconds: float, rate: int, channels: int, file: Path) -> np.ndarray:
    """(n, channels) zeros for a pause; RigError for one that damaged stamps must have made."""
    if seconds > _LONGEST_PAUSE:
        raise RigError(f"The sound of {file} pauses for {seconds / 60:.0f} minutes by its time stamps, which are damaged; convert "
                       "it to WAV.")
    return np.zeros((round(seconds * rate), channels), np.float32)


def fit_sound(sound: Sound, seconds: float) -> tuple[Sound, str]:
    """``sound`` as it is heard during ``seconds`` of pictures, silent before it starts and after it ends, with ``start`` 0.

    With sentences, else "", when more than 0.1 s of it come before the pictures, or are wanting at their end.
    """
    wanted, first = max(round(seconds * sound.rate), 0), round(sound.start * sound.rate)
    samples = np.zeros((wanted, sound.samples.shape[1]), np.float32)
    heard = sound.samples[max(-first, 0):max(wanted - first, 0)]
    samples[max(first, 0):max(first, 0) + len(heard)] = heard
    notes, short = [], seconds - sound.end
    if sound.start < -_HEARD:
        notes.append(f"The first {-sound.start:.2f} s of the sound come before the pictures and are left out.")
    if short > _HEARD and abs(sound.start) <= _HEARD:
        notes.append(f"The sound is {short:.2f} s shorter than the {seconds:.2f} s of pictures; its end is silent.")
    elif short > _HEARD:
        notes.append(f"The sound ends {min(short, seconds):.2f} s before the {seconds:.2f} s of pictures do; the rest is silent.")
    return Sound(samples, sound.rate), " ".join(notes)
