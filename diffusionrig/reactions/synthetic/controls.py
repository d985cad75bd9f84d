"""The latent controls of a synthetic face, the events that move them, and how an event is displayed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

CONTROLS = ("smile", "brow_up", "brow_down", "squint", "wide", "jaw", "press", "pucker", "pitch", "yaw", "roll", "lean")
"""Facial actions in 0..1 (a negative smile draws the corners of the mouth down), rotations in radians (positive pitch lowers the
chin), and lean towards the viewer, in units of the coefficients' translation."""

EVENTS = ("smile", "raise", "frown", "surprise", "nod", "speech")
WIDTHS = np.array([10.0, 7.0, 9.0, 7.0, 6.0, 4.0])
"""Half of the time, in frames, that an event of each type lasts."""

SCALES = np.array([1.0] * 8 + [0.2] * 4)
"""How large a usual movement of each control is: noise and slow movements come in these units."""


def control_matrix(table: Mapping[str, Mapping[str, float]]) -> np.ndarray:
    """(12, 6): what each event type, a column, adds to each control, a row."""
    matrix = np.zeros((len(CONTROLS), len(EVENTS)))
    for event, moves in table.items():
        for control, amount in moves.items():
            matrix[CONTROLS.index(control), EVENTS.index(event)] = amount
    return matrix


DISPLAY = control_matrix({
    "smile": {"smile": 0.85, "squint": 0.4},
    "raise": {"brow_up": 0.85, "wide": 0.3},
    "frown": {"brow_down": 0.8, "smile": -0.6, "press": 0.5},
    "surprise": {"wide": 0.85, "brow_up": 0.6, "jaw": 0.6},
    "nod": {"pitch": 0.22, "press": 0.35, "lean": 0.1},
    "speech": {"jaw": 0.55, "pucker": 0.45, "squint": 0.1},
})
"""P of z = P s: how the one who holds the turn shows an event."""

REACTIONS = tuple(control_matrix(table) for table in (
    {"smile": {"smile": 0.8, "squint": 0.35}, "raise": {"brow_up": 0.5, "smile": 0.3}, "frown": {"brow_down": 0.4, "smile": -0.3},
     "surprise": {"smile": 0.5, "jaw": 0.3}, "nod": {"pitch": 0.1, "smile": 0.3}, "speech": {"smile": 0.35, "lean": 0.1}},
    {"smile": {"press": 0.45, "brow_down": 0.3}, "raise": {"brow_down": 0.5}, "frown": {"brow_up": 0.75, "press": 0.3},
     "surprise": {"brow_up": 0.6, "smile": -0.4}, "nod": {"brow_up": 0.4}, "speech": {"brow_down": 0.4, "squint": 0.3}},
    {"smile": {"pitch": 0.12, "smile": 0.3}, "raise": {"wide": 0.5, "pitch": 0.1}, "frown": {"pitch": 0.1, "press": 0.4},
     "surprise": {"wide": 0.7, "jaw": 0.5}, "nod": {"pitch": 0.2}, "speech": {"pitch": 0.18, "brow_up": 0.35}},
    {"smile": {"press": 0.6}, "raise": {"squint": 0.5}, "frown": {"squint": 0.3, "pucker": 0.4}, "surprise": {"press": 0.5,
     "brow_down": 0.3}, "nod": {"press": 0.3, "pucker": 0.3}, "speech": {"pucker": 0.5, "pitch": -0.08}},
))
"""A_c: how the other one answers. The first manner mirrors and warms, the second worries, the third attends with nods, the
fourth suppresses."""
