"""Who takes part: what a synthetic person keeps in every clip."""

from __future__ import annotations

import dataclasses

import numpy as np

from diffusionrig.randomness import numpy_stream, stream_seed
from diffusionrig.reactions.synthetic.controls import CONTROLS, SCALES

LAGS = (3, 20)
"""Shortest and longest time, in frames, after which a person reacts."""

_BASE = np.array([0.06, 0.07, 0.06, 0.06, 0.06, 0.03, 0.06, 0.05, 0.08, 0.13, 0.08, 0.25])


@dataclasses.dataclass(frozen=True, eq=False)
class Participant:
    """name         ``train/0/1``: split, dyad, role
    lag          frames between an event of the partner and the reaction to it
    gains        (12,) how strongly each control reacts
    baseline     (12,) the controls at rest
    asymmetry    -0.3..0.3: the left side moves by 1 + asymmetry, the right by 1 - asymmetry
    voice        fundamental frequency, hertz
    tides        (12 + 52, 2) frequency (cycles per frame) and phase of the slow movements of controls and blendshapes
    look         seed of the person's appearance
    """

    name: str
    lag: int
    gains: np.ndarray
    baseline: np.ndarray
    asymmetry: float
    voice: float
    tides: np.ndarray
    look: int


def sample_participant(seed: int, split: str, dyad: int, role: int) -> Participant:
    """The participant ``role`` (0 or 1) of a dyad; always the same for the same arguments."""
    keys = (seed, "participant", split, dyad, role)
    draw = numpy_stream(*keys)
    lag = int(draw.integers(LAGS[0], LAGS[1] + 1))
    gains = draw.uniform(0.6, 1.3, len(CONTROLS))
    baseline = _BASE * draw.standard_normal(len(CONTROLS))
    # An action cannot rest below none; only the corners of the mouth go both ways.
    baseline[1:8] = np.abs(baseline[1:8])
    asymmetry = float(draw.uniform(-0.3, 0.3))
    voice = float(draw.uniform(95.0, 240.0))
    frequency = draw.uniform(0.006, 0.024, len(CONTROLS) + 52)
    tides = np.stack([frequency, draw.uniform(0, 2 * np.pi, len(frequency))], 1)
    return Participant(f"{split}/{dyad}/{role}", lag, gains, baseline, asymmetry, voice, tides, stream_seed(*keys, "look"))


def tide(person: Participant, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Slow movements of a person in -1..1: of the controls (frames, 12), in their scales, and of the blendshapes (frames, 52)."""
    frequency, phase = person.tides.T
    waves = np.sin(2 * np.pi * np.arange(frames)[:, None] * frequency + phase)
    return waves[:, :len(CONTROLS)] * SCALES, waves[:, len(CONTROLS):]
