"""Frames without the person: which are crossed, and which show the last that was seen."""

from __future__ import annotations

import itertools

import numpy as np

SEEN, BRIDGED, HELD = 0, 1, 2
"""A frame's code was measured in it; lies smoothly between its neighbours'; is that of the last frame with the person (of the
first, before it), since nothing is known."""

NOTES = ("", "The face is hidden here: the code lies between its neighbours.", "This person was not found.")
"""What is said of a frame in each state."""

BRIDGE = 0.3
"""Seconds up to which a gap is crossed."""


def states(found: np.ndarray, shot: np.ndarray, fps: float) -> np.ndarray:
    """(T,) uint8 of SEEN, BRIDGED and HELD. ``found`` (T,) bool; ``shot`` (T,) int tells takes apart: no gap between two of them is
    crossed. A gap at either end is not either."""
    state = np.where(found, SEEN, HELD).astype(np.uint8)
    places = np.flatnonzero(found)
    for before, after in itertools.pairwise(places):
        if 1 < after - before <= BRIDGE * fps + 1 + 1e-6 and shot[before] == shot[after]:
            state[before + 1:after] = BRIDGED
    return state


def runs(state: np.ndarray, shot: np.ndarray) -> list[slice]:
    """Stretches of frames that are smoothed together: without held frames and cuts inside."""
    found: list[slice] = []
    start = None
    take = -1
    for t, value in enumerate([*state.tolist(), HELD]):
        new = value == SEEN and start is not None and shot[t] != take
        if start is not None and (value == HELD or new):
            found.append(slice(start, t))
            start = None
        if value == SEEN:
            start, take = (t if start is None else start), int(shot[t])
    return found


def shown_instead(state: np.ndarray) -> np.ndarray:
    """(T,) int: the frame whose code each frame shows, itself but for held ones. IndexError when nothing was seen."""
    numbers = np.where(state != HELD, np.arange(len(state)), -1)
    last = np.maximum.accumulate(numbers)
    return np.where(last < 0, np.flatnonzero(state != HELD)[0], last)
