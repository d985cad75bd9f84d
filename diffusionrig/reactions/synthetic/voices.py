"""Speech-like sound: a buzz at the person's pitch, shaped by two vowels' formants, as loud as speech events are strong."""

from __future__ import annotations

import numpy as np

from diffusionrig.reactions.synthetic.behaviour import activations
from diffusionrig.reactions.synthetic.controls import EVENTS
from diffusionrig.reactions.synthetic.people import Participant
from diffusionrig.reactions.synthetic.situations import Event

RATES = {"stereo": 44100, "mono": 16000}
_OPEN_VOWEL, _CLOSED_VOWEL = ((730.0, 90.0), (1090.0, 110.0), (2440.0, 170.0)), ((300.0, 60.0), (870.0, 100.0), (2240.0, 160.0))
"""Centre and width, hertz, of three formants: of "ah" and of "oo" (Peterson and Barney 1952)."""

_TABLE, _HIGHEST, _LOUDNESS = 2048, 5000.0, 0.35
_BEND = 0.06  # how far the pitch falls and rises around the person's own
_SIDE = 0.8  # of the right channel, so that the two differ


def speak(person: Participant, own: list[Event], frames: int, fps: int, kind: str) -> tuple[np.ndarray, int]:
    """Samples (n, channels) int16 of ``frames`` video frames, and their rate; exact silence where nothing is said.

    ``kind``: ``stereo`` at 44.1 kHz, or ``mono`` at 16 kHz.
    """
    rate = RATES[kind]
    count = frames * rate // fps
    strength = activations(own, frames)[:, EVENTS.index("speech")]
    time = np.arange(count) * (fps / rate)
    loud = np.clip(np.interp(time, np.arange(frames), strength), 0, 1)
    phase = np.cumsum(person.voice * (1 + _BEND * np.sin(2 * np.pi * time / 37.0))) / rate % 1.0 * _TABLE
    waves = [np.interp(phase, np.arange(_TABLE), _period(person.voice, vowel, rate), period=_TABLE)
             for vowel in (_OPEN_VOWEL, _CLOSED_VOWEL)]
    sound = np.rint(32767 * _LOUDNESS * loud * (loud * waves[0] + (1 - loud) * waves[1])).astype(np.int16)
    if kind == "mono":
        return sound[:, None], rate
    return np.stack([sound, np.rint(_SIDE * sound).astype(np.int16)], 1), rate


def _period(voice: float, vowel: tuple[tuple[float, float], ...], rate: int) -> np.ndarray:
    """One period (2048,) of the buzz through the resonances of a vowel, -1..1, without what the rate cannot hold."""
    harmonics = np.arange(1, int(min(_HIGHEST, 0.45 * rate) / (voice * (1 + _BEND))) + 1)
    pitch = harmonics * voice
    gain = sum(1 / (1 + ((pitch - centre) / width) ** 2) for centre, width in vowel) / harmonics**0.5
    angle = 2 * np.pi * np.arange(_TABLE) / _TABLE
    wave = (gain[:, None] * np.sin(harmonics[:, None] * angle + harmonics[:, None] ** 2 * 0.3)).sum(0)
    return wave / np.abs(wave).max()
