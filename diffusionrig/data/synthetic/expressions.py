"""Random but plausible expressions as ARKit-52 weights, with the gaze that belongs to them."""

from __future__ import annotations

import numpy as np

# Weights of whole expressions at full strength; a name without Left/Right stands for both sides.
EXPRESSIONS: dict[str, dict[str, float]] = {
    "neutral": {},
    "smile": {"mouthSmile": 0.75, "cheekSquint": 0.4, "eyeSquint": 0.25, "mouthDimple": 0.2},
    "open smile": {"mouthSmile": 0.9, "jawOpen": 0.18, "cheekSquint": 0.6, "eyeSquint": 0.35, "mouthUpperUp": 0.35,
                   "mouthLowerDown": 0.25},
    "laugh": {"mouthSmile": 0.9, "jawOpen": 0.45, "cheekSquint": 0.8, "eyeSquint": 0.6, "mouthUpperUp": 0.4,
              "mouthLowerDown": 0.35, "noseSneer": 0.15},
    "surprise": {"jawOpen": 0.5, "browInnerUp": 0.8, "browOuterUp": 0.8, "eyeWide": 0.8, "mouthFunnel": 0.2},
    "anger": {"browDown": 0.9, "eyeSquint": 0.35, "noseSneer": 0.5, "mouthPress": 0.5, "mouthFrown": 0.35,
              "mouthShrugLower": 0.25},
    "sadness": {"browInnerUp": 0.85, "mouthFrown": 0.75, "mouthShrugLower": 0.4, "eyeSquint": 0.15, "mouthPucker": 0.1},
    "disgust": {"noseSneer": 0.85, "browDown": 0.5, "mouthUpperUp": 0.5, "eyeSquint": 0.4, "mouthFrown": 0.25},
    "fear": {"browInnerUp": 0.8, "browOuterUp": 0.35, "eyeWide": 0.7, "mouthStretch": 0.6, "jawOpen": 0.2},
    "aa": {"jawOpen": 0.5, "mouthLowerDown": 0.3, "mouthUpperUp": 0.15},
    "oo": {"jawOpen": 0.18, "mouthFunnel": 0.45, "mouthPucker": 0.6},
    "ee": {"jawOpen": 0.14, "mouthStretch": 0.4, "mouthSmile": 0.2, "mouthLowerDown": 0.4, "mouthUpperUp": 0.25},
    "ff": {"jawOpen": 0.06, "mouthRollLower": 0.5, "mouthUpperUp": 0.3},
    "mm": {"mouthClose": 0.06, "jawOpen": 0.08, "mouthPress": 0.4, "mouthRollLower": 0.25, "mouthRollUpper": 0.25},
    "kiss": {"mouthPucker": 0.9, "mouthFunnel": 0.15},
    "puff": {"cheekPuff": 0.8, "mouthPress": 0.3, "mouthPucker": 0.2},
    "squint": {"eyeSquint": 0.8, "browDown": 0.35, "cheekSquint": 0.4},
    "blink": {"eyeBlink": 1.0},
    "wink left": {"eyeBlinkLeft": 0.95, "cheekSquintLeft": 0.5, "mouthSmileLeft": 0.45, "browDownLeft": 0.3},
    "wink right": {"eyeBlinkRight": 0.95, "cheekSquintRight": 0.5, "mouthSmileRight": 0.45, "browDownRight": 0.3},
    "smirk left": {"mouthSmileLeft": 0.7, "mouthDimpleLeft": 0.4, "mouthLeft": 0.25, "browOuterUpLeft": 0.3},
    "smirk right": {"mouthSmileRight": 0.7, "mouthDimpleRight": 0.4, "mouthRight": 0.25, "browOuterUpRight": 0.3},
    "skeptic left": {"browOuterUpLeft": 0.8, "browInnerUp": 0.3, "browDownRight": 0.6, "mouthRight": 0.2},
    "skeptic right": {"browOuterUpRight": 0.8, "browInnerUp": 0.3, "browDownLeft": 0.6, "mouthLeft": 0.2},
}

_WHOLE_CHANCES: dict[str, float] = {"neutral": 3.0, "smile": 4.0, "open smile": 4.0, "blink": 0.5, "laugh": 2.0,
                                    "wink left": 0.3, "wink right": 0.3, "surprise": 1.5}
"""How often an expression is the main one of a photograph, relative to 1 for those not listed."""

# Weights that a stray movement may reach; the rest would look odd at random (tongue, closed eyes, gaze).
_STRAY = {"browDown": 0.5, "browInnerUp": 0.6, "browOuterUp": 0.5, "cheekPuff": 0.3, "cheekSquint": 0.5,
          "eyeSquint": 0.5, "eyeWide": 0.5, "jawForward": 0.4, "jawLeft": 0.3, "jawRight": 0.3, "jawOpen": 0.4,
          "mouthDimple": 0.5, "mouthFrown": 0.5, "mouthFunnel": 0.4, "mouthLeft": 0.4, "mouthRight": 0.4,
          "mouthLowerDown": 0.5, "mouthPress": 0.5, "mouthPucker": 0.5, "mouthRollLower": 0.4, "mouthRollUpper": 0.4,
          "mouthShrugLower": 0.4, "mouthShrugUpper": 0.3, "mouthSmile": 0.6, "mouthStretch": 0.4, "mouthUpperUp": 0.4,
          "noseSneer": 0.5}

EYE_RANGE = 30.0
"""Gaze, in degrees, at which an ``eyeLook`` weight is 1."""


def _sides(name: str, names: tuple[str, ...]) -> list[str]:
    return [name] if name in names else [name + side for side in ("Left", "Right") if name + side in names]


def sample_expression(rng: np.random.Generator, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """One expression: weights (len(names),) in 0..1 and the turn of both eyes (6,), axis-angle in radians.

    ``names`` are the ARKit names in the head's order. A main expression of random strength, now and then a second one,
    stray movements whose sides go together, and a gaze shared by eyelids and eyeballs. ``mouthClose`` never exceeds
    ``jawOpen``.
    """
    weights = dict.fromkeys(names, 0.0)
    labels = list(EXPRESSIONS)
    chances = np.array([_WHOLE_CHANCES.get(label, 1.0) for label in labels])
    mains = rng.choice(len(labels), size=2, replace=False, p=chances / chances.sum())
    strengths = (rng.uniform(0.35, 1.1), rng.uniform(0.15, 0.5) if rng.random() < 0.3 else 0.0)
    for main, strength in zip(mains, strengths, strict=True):
        for name, weight in EXPRESSIONS[labels[main]].items():
            both = rng.normal(1.0, 0.12)
            for side in _sides(name, names):
                weights[side] += weight * strength * both * rng.normal(1.0, 0.08)
    for name, limit in _STRAY.items():
        amount = limit * rng.random() ** 2 * (rng.random() < 0.25)
        for side in _sides(name, names):
            weights[side] += amount * np.clip(rng.normal(1.0, 0.25), 0.0, 2.0)
    lids = 0.15 * rng.random() ** 2
    eyes = _look(rng, weights, names)
    for side in _sides("eyeBlink", names):
        weights[side] += lids
    result = np.clip(np.array([weights[name] for name in names], dtype=np.float32), 0.0, 1.0)
    if "mouthClose" in names:
        close, jaw = names.index("mouthClose"), names.index("jawOpen")
        result[close] = min(result[close], result[jaw])
    return result, eyes


def _look(rng: np.random.Generator, weights: dict[str, float], names: tuple[str, ...]) -> np.ndarray:
    """Choose a gaze, add its ``eyeLook`` weights, return the eyes' axis-angle (6,)."""
    spread = 1.0 if rng.random() < 0.5 else 0.25
    left_right = float(np.clip(rng.normal(0.0, 12.0 * spread), -28.0, 28.0))  # degrees, positive to the subject's left
    up_down = float(np.clip(rng.normal(-2.0, 7.0 * spread), -18.0, 14.0))  # degrees, positive up
    looks = {"eyeLookOutLeft": left_right, "eyeLookInRight": left_right, "eyeLookInLeft": -left_right,
             "eyeLookOutRight": -left_right, "eyeLookUpLeft": up_down, "eyeLookUpRight": up_down,
             "eyeLookDownLeft": -up_down, "eyeLookDownRight": -up_down}
    for name, degrees in looks.items():
        if name in names:
            weights[name] = max(0.0, degrees) / EYE_RANGE
    turn = np.deg2rad([-up_down, left_right, 0.0])
    return np.concatenate([turn, turn]).astype(np.float32)
