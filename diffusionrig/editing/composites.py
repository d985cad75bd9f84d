"""Movements as people name them (``smile``), each a mixture of ARKit's actions. Defined here once, for ``--set`` and the page."""

from __future__ import annotations

from collections.abc import Iterable

from diffusionrig.geometry.arkit import ARKIT_NAMES

COMPOSITES: dict[str, dict[str, float]] = {
    "smile": {"mouthSmileLeft": 1.0, "mouthSmileRight": 1.0, "mouthFrownLeft": -0.5, "mouthFrownRight": -0.5},
    "mouthOpen": {"jawOpen": 1.0},
    "pucker": {"mouthPucker": 1.0},
    "brows": {"browInnerUp": 0.8, "browOuterUpLeft": 1.0, "browOuterUpRight": 1.0, "browDownLeft": -1.0, "browDownRight": -1.0},
    "blinkLeft": {"eyeBlinkLeft": 1.0, "eyeWideLeft": -1.0},
    "blinkRight": {"eyeBlinkRight": 1.0, "eyeWideRight": -1.0},
    "squint": {"eyeSquintLeft": 1.0, "eyeSquintRight": 1.0, "cheekSquintLeft": 0.5, "cheekSquintRight": 0.5},
}
"""How far each action moves when the movement moves by one. As weights stay within 0..1, a movement below zero raises the actions
with a minus: ``smile=-0.3`` takes a smile back and, where there is none, turns the corners of the mouth down."""

Pairs = tuple[tuple[str, float], ...]


def is_weight(name: str) -> bool:
    """Whether ``name`` counts from 0 as ARKit's weights do, so that a negative number can only be a move."""
    return name in ARKIT_NAMES or name in COMPOSITES


def expanded_settings(pairs: Pairs) -> Pairs:
    """Settings with movements written out as actions; an action that is named itself keeps its own value, others are at least 0."""
    values = {action: max(share * value, 0.0) for name, value in pairs
              for action, share in COMPOSITES.get(name, {}).items()}
    return tuple({**values, **{name: value for name, value in pairs if name not in COMPOSITES}}.items())


def expanded_moves(pairs: Pairs) -> Pairs:
    """Moves with movements written out as actions; what several ask of one action is added."""
    moves: dict[str, float] = {}
    for name, value in _written_out(pairs):
        moves[name] = moves.get(name, 0.0) + value
    return tuple(moves.items())


def _written_out(pairs: Pairs) -> Iterable[tuple[str, float]]:
    for name, value in pairs:
        if name in COMPOSITES:
            yield from ((action, share * value) for action, share in COMPOSITES[name].items())
        else:
            yield name, value
