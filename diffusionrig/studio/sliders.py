"""The sliders of the page: which there are, in which groups, and from where to where they go."""

from __future__ import annotations

from typing import Any

from diffusionrig.editing.composites import COMPOSITES
from diffusionrig.editing.lighting import LIGHTS
from diffusionrig.geometry.arkit import ARKIT_NAMES

NAMED = ("smile", "mouthOpen", "pucker", "brows", "blinkLeft", "blinkRight", "squint", "gazeSide", "gazeUp", "yaw", "pitch", "roll")
DEGREES = {"gazeSide": 25.0, "gazeUp": 20.0, "yaw": 40.0, "pitch": 25.0, "roll": 30.0}
BEGINNINGS = {"brows": ("brow",), "eyes": ("eye",), "mouth": ("mouth",), "jaw": ("jaw", "cheek"), "rest": ()}


def group_of(action: str) -> str:
    """The folding group in which the page shows an action of ARKit's."""
    return next((group for group, words in BEGINNINGS.items() if action.startswith(words)), "rest")


def sliders() -> dict[str, list[dict[str, Any]]]:
    """By group: name, least, largest and usual value, step, and whether it is degrees. All but those of the lamp move from what the
    face shows."""
    groups: dict[str, list[dict[str, Any]]] = {"named": [_slider(name) for name in NAMED], **{group: [] for group in BEGINNINGS}}
    for action in ARKIT_NAMES:
        groups[group_of(action)].append(_slider(action))
    groups["lamp"] = [{"name": name, "low": low, "high": high, "usual": usual, "step": 1 if high == 90 else 0.01,
                       "degrees": high == 90} for name, (low, high, usual) in LIGHTS.items()]
    return groups


def _slider(name: str) -> dict[str, Any]:
    reach = DEGREES.get(name, 1.0)
    assert name in COMPOSITES or name in ARKIT_NAMES or name in DEGREES
    return {"name": name, "low": -reach, "high": reach, "usual": 0, "step": 1 if name in DEGREES else 0.01,
            "degrees": name in DEGREES}
