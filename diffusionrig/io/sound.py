"""The sound of a sound file or of a video, and cutting it to a length."""

from __future__ import annotations

import dataclasses
from itertools import chain
from pathlib import Path

import numpy as np

from diffusionrig.errors import RigError
from diffusionrig.io.files import existing_file, short_reason
from diffusionrig.io.mixing import in_range, stereo


@dataclasses.dataclass(frozen=True)
class Sound:
    """``samples`` (n, channels) float32 in -1..1, one or two channels, and their ``rate`` in hertz."""

    samples: np.ndarray
    rate: int

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate


def read_sound(path: str | Path) -> Sound | None:
    """All of the sound of a sound file or video; None for a video without. RigError when the file cannot be decoded.

    More than two channels are mixed down to two, without clipping.
    """
    import av

    file = existing_file(path, "sound or video file")
    try:
        with av.open(str(file)) as container:
            if not container.streams.audio:
                if container.streams.video:
                    return None
                raise RigError(f"{file} holds neither sound nor pictures; give a WAV file or a video with sound.")
            stream = container.streams.audio[0]
            plain = stream.codec_context.name.startswith("pcm_f")
            # It changes the type of the numbers alone: the mixing of channels that it offers exceeds 1. Channels lie side by side
            # ("flt"), since PyAV reads beyond the planes of eight or more.
            resampler = av.AudioResampler(format="flt", rate=stream.rate)
            blocks, channels = [], []
            for frame in chain(container.decode(stream), [None]):
                for part in resampler.resample(frame):
                    channels = [channel.name for channel in part.layout.channels]
                    # Whether numbers were scaled is seen before they are mixed; other sound is mixed at once, to save room.
                    block = part.to_ndarray().reshape(-1, len(channels))
                    blocks.append(block if plain else stereo(block, channels))
            rate = int(stream.rate)
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise RigError(f"The sound of {file} cannot be decoded ({short_reason(error)}); convert it to WAV.") from error
    if not blocks or not sum(map(len, blocks)):
        raise RigError(f"{file} holds no sound; copy it again or leave it out.")
    samples = stereo(in_range(np.concatenate(blocks), file, plain), channels)
    return Sound(np.ascontiguousarray(samples, np.float32), rate)


def fit_sound(sound: Sound, seconds: float) -> tuple[Sound, str]:
    """``sound`` cut, or filled up with silence, to ``seconds``; with one sentence when it was more than 0.1 s short, else ""."""
    wanted, held = round(seconds * sound.rate), len(sound.samples)
    if held >= wanted:
        return Sound(sound.samples[:wanted], sound.rate), ""
    silence = np.zeros((wanted - held, sound.samples.shape[1]), np.float32)
    short = seconds - sound.seconds
    note = f"The sound is {short:.2f} s shorter than the {seconds:.2f} s of pictures; its end is silent." if short > 0.1 else ""
    return Sound(np.concatenate([sound.samples, silence]), sound.rate), note
