"""From events to the controls of both faces over time."""

from __future__ import annotations

import numpy as np

from diffusionrig.randomness import numpy_stream
from diffusionrig.reactions.synthetic.controls import CONTROLS, DISPLAY, EVENTS, SCALES, WIDTHS
from diffusionrig.reactions.synthetic.options import Options
from diffusionrig.reactions.synthetic.people import Participant, tide
from diffusionrig.reactions.synthetic.situations import Event

_MEMORY = 0.9


def bump(distance: np.ndarray) -> np.ndarray:
    """h(u) = max(0, 1 - u^2)^2: one at 0, smooth, and exactly zero from 1 on."""
    return np.clip(1 - distance**2, 0, None) ** 2


def activations(events: list[Event], frames: int, delay: int = 0) -> np.ndarray:
    """s(t - delay) (frames, 6): how strongly each type of event is under way."""
    time = np.arange(frames) - delay
    rows = np.zeros((frames, len(EVENTS)))
    for event in events:
        rows[:, event.kind] += event.amplitude * bump((time - event.frame) / WIDTHS[event.kind])
    return rows


def controls_over_time(options: Options, person: Participant, own: list[Event], partner: list[Event], reaction: np.ndarray,
                       keys: tuple[str, int, int, int], frames: int) -> np.ndarray:
    """y(t) (frames, 12) = baseline + P s_own(t) + diag(gains) A s_partner(t - lag) + noise + slow movement.

    ``keys`` (split, dyad, clip, role) name the stream of the noise.
    """
    y = person.baseline + activations(own, frames) @ DISPLAY.T
    y += activations(partner, frames, person.lag) @ reaction.T * person.gains
    if options.noise:
        y += options.noise * SCALES * _disturbance(numpy_stream(options.seed, "noise", *keys), frames)
    if options.micro:
        y += options.micro * tide(person, frames)[0]
    return y


def _disturbance(draw: np.random.Generator, frames: int) -> np.ndarray:
    """AR(1) of unit deviation (frames, 12)."""
    steps = draw.standard_normal((frames, len(CONTROLS)))
    steps[1:] *= np.sqrt(1 - _MEMORY**2)
    for frame in range(1, frames):
        steps[frame] += _MEMORY * steps[frame - 1]
    return steps
