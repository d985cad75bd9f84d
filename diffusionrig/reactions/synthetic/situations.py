"""What happens in a clip: its situation, which both participants share, and from it the events and the way of reacting."""

from __future__ import annotations

import dataclasses

import numpy as np

from diffusionrig.randomness import numpy_stream
from diffusionrig.reactions.synthetic.controls import EVENTS, REACTIONS
from diffusionrig.reactions.synthetic.options import Options

TURNS = 4
"""A clip is cut into so many turns; the first participant holds the even ones."""

ALONE_SHARE = 1 / 8
"""Share of the clips whose situation is like no other's."""

CIRCLE_REACH = 0.6
"""Radians within which two angles of the circle are alike."""

_SUBSETS = (("smile", "raise", "speech"), ("frown", "surprise", "speech"), ("nod", "smile", "speech"),
            ("surprise", "raise", "frown"))
_SPACING = 13.0  # frames between events, on average
_SYLLABLES, _SYLLABLE = 3, 5


@dataclasses.dataclass(frozen=True)
class Situation:
    """``name`` of the class (``0``, ``1`` ...; ``alone/train/2/1`` for a clip like no other); ``angle`` on the circle, radians,
    where appropriateness is a matter of angle."""

    name: str
    angle: float | None = None


@dataclasses.dataclass(frozen=True)
class Event:
    """``kind`` indexes EVENTS; ``frame`` of its height; ``amplitude`` 0..1."""

    kind: int
    frame: int
    amplitude: float


def sample_situation(options: Options, split: str, dyad: int, clip: int) -> Situation:
    """The situation of a clip. Classes come in turn along the clips of a dyad, so that a few clips show them all."""
    draw = numpy_stream(options.seed, "situation", split, dyad, clip)
    alone, angle = draw.random() < ALONE_SHARE, float(draw.uniform(0, 2 * np.pi))
    if options.appropriateness == "circle":
        return Situation("circle", angle)
    if alone:
        return Situation(f"alone/{split}/{dyad}/{clip}")
    first = int(numpy_stream(options.seed, "first class", split).integers(options.classes))
    return Situation(str((first + dyad + clip) % options.classes))


def alike(one: Situation, other: Situation) -> bool:
    """Whether reactions in one situation suit the other."""
    if one.angle is None or other.angle is None:
        return one.name == other.name
    apart = abs(one.angle - other.angle) % (2 * np.pi)
    return bool(min(apart, 2 * np.pi - apart) < CIRCLE_REACH)


def reaction_matrix(situation: Situation) -> np.ndarray:
    """A (12, 6): what the events of one participant move in the other."""
    if situation.angle is None:
        number = int(situation.name) if situation.name.isdecimal() else 0
        return REACTIONS[number % len(REACTIONS)]
    centres = np.arange(len(REACTIONS)) * 2 * np.pi / len(REACTIONS)
    weights = np.exp(1.5 * np.cos(situation.angle - centres))
    return np.tensordot(weights / weights.sum(), np.stack(REACTIONS), 1)


def holder(frame: int, frames: int) -> int:
    """Who holds the turn at ``frame``: participant 0 or 1."""
    return min(frame * TURNS // frames, TURNS - 1) % 2


def sample_events(options: Options, situation: Situation, role: int, keys: tuple[str, int, int], frames: int) -> list[Event]:
    """The events that participant ``role`` shows in its turns of a clip of ``frames``, in order.

    Times, kinds and amplitudes belong to the situation; ``keys`` (split, dyad, clip) add the clip's own jitter.
    """
    script = numpy_stream(options.seed, "script", situation.name, role, frames)
    subset = [EVENTS.index(kind) for kind in _subset(situation, options.seed)]
    nudge = numpy_stream(options.seed, "jitter", *keys, role)
    events = []
    for turn in range(role, TURNS, 2):
        start, end = turn * frames / TURNS, (turn + 1) * frames / TURNS
        count = max(2, round((end - start) / _SPACING))
        for slot in range(count):
            kind = subset[int(script.integers(len(subset)))]
            place, amplitude, bend, swell = script.uniform(0.15, 0.85), script.uniform(0.7, 1.0), *script.uniform(0, 2 * np.pi, 2)
            if situation.angle is not None:
                place += 0.3 * np.cos(situation.angle - bend)
                amplitude *= 0.6 + 0.4 * np.cos(situation.angle - swell)
            frame = start + (slot + place) * (end - start) / count
            beats = _SYLLABLES if EVENTS[kind] == "speech" else 1
            for beat in range(beats):
                moved = round(frame) + beat * _SYLLABLE + int(nudge.integers(-options.jitter, options.jitter + 1))
                events.append(Event(kind, moved, round(float(amplitude), 6)))
    return sorted(events, key=lambda event: (event.frame, event.kind))


def _subset(situation: Situation, seed: int) -> tuple[str, ...]:
    """The kinds of event that occur: fixed for the first classes, drawn for more of them and for clips like no other."""
    if situation.angle is not None:
        return EVENTS
    if situation.name.isdecimal() and int(situation.name) < len(_SUBSETS):
        return _SUBSETS[int(situation.name)]
    chosen = numpy_stream(seed, "kinds", situation.name).permutation(len(EVENTS))[:3]
    return tuple(EVENTS[index] for index in sorted(chosen))
