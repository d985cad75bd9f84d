"""What is seen of the controls: 52 blendshapes, 58 coefficients, 25 attributes."""

from __future__ import annotations

import numpy as np

from diffusionrig.geometry.arkit import ARKIT_NAMES
from diffusionrig.randomness import numpy_stream
from diffusionrig.reactions.corpus.attributes import N_COEFFICIENTS
from diffusionrig.reactions.synthetic.behaviour import bump
from diffusionrig.reactions.synthetic.controls import CONTROLS
from diffusionrig.reactions.synthetic.people import Participant, tide

DISTANCE = 1.84
"""The z translation of a face at rest, about the mean of the REACT coefficients."""

OCCURS = 0.25
"""Intensity above which an action unit counts as shown."""

_SHAPES = {
    "smile": {"mouthSmile": 0.9, "cheekSquint": 0.5, "mouthUpperUp": 0.4, "mouthFrown": -0.8},
    "brow_up": {"browInnerUp": 0.9, "browOuterUp": 0.8},
    "brow_down": {"browDown": 0.9, "noseSneer": 0.5},
    "squint": {"eyeSquint": 0.9, "cheekSquint": 0.25},
    "wide": {"eyeWide": 0.9},
    "jaw": {"jawOpen": 0.75, "mouthLowerDown": 0.35},
    "press": {"mouthPress": 0.9, "mouthShrugLower": 0.5, "mouthRollLower": 0.7, "mouthRollUpper": 0.6, "mouthDimple": 0.5},
    "pucker": {"mouthPucker": 0.8, "mouthFunnel": 0.35},
}
_BLINKS = ("eyeBlinkLeft", "eyeBlinkRight")
_BLINK_EVERY, _BLINK_WIDTH = (50, 110), 3.5

UNITS = (("browInnerUp",), ("browOuterUp",), ("browDown",), ("cheekSquint",), ("eyeSquint",), ("noseSneer",), ("mouthUpperUp",),
          ("mouthSmile",), ("mouthDimple",), ("mouthFrown",), ("mouthShrugLower",), ("mouthRollLower", "mouthRollUpper"),
          ("mouthPress",), ("jawOpen", "mouthLowerDown"), ("jawOpen",))
"""Blendshapes whose mean, or for AU25 whose larger, is the intensity of each action unit."""

MOODS = np.array([  # smile, frown, brow down, brow up, wide, jaw, press, squint -> logits
    [-1.0, -1.0, -1.0, -0.5, -1.0, -0.5, -0.5, -0.5],   # neutral
    [4.5, -1.0, -1.0, 0.0, 0.0, 0.3, -0.5, 0.8],        # happy
    [-1.0, 4.0, 0.5, 1.2, -0.5, -0.3, 0.5, 0.2],        # sad
    [0.0, -0.5, -1.0, 2.2, 2.8, 1.6, -0.8, -0.8],       # surprise
    [-1.0, 0.8, 0.5, 1.5, 2.0, 0.5, 0.0, -0.3],         # fear
    [-0.8, 1.5, 1.8, -0.5, -0.8, 0.0, 0.3, 1.5],        # disgust
    [-1.0, 1.0, 3.5, -1.0, 0.0, 0.3, 1.0, 0.5],         # anger
    [0.3, 0.3, 0.2, 0.0, -0.5, -0.5, 2.8, 0.6],         # contempt
])
REST = np.array([1.5, 0.0, -0.4, -0.4, -0.8, -0.8, -0.4, -0.6])


def shape_columns(name: str) -> list[int]:
    """Indices of a blendshape, of both its sides where it has two."""
    return [ARKIT_NAMES.index(full) for full in (name, f"{name}Left", f"{name}Right") if full in ARKIT_NAMES]


def _shape_matrix() -> np.ndarray:
    """E (52, 12): what each control adds to each blendshape."""
    matrix = np.zeros((len(ARKIT_NAMES), len(CONTROLS)))
    for control, shapes in _SHAPES.items():
        for name, amount in shapes.items():
            matrix[shape_columns(name), CONTROLS.index(control)] = amount
    return matrix


SHAPE_MATRIX = _shape_matrix()


def sides(asymmetry: float) -> np.ndarray:
    """(52,) 1 + asymmetry for blendshapes of the left, 1 - asymmetry for those of the right, 1 in the middle."""
    signs = np.array([name.endswith("Left") * 1.0 - name.endswith("Right") * 1.0 for name in ARKIT_NAMES])
    return 1 + asymmetry * signs


def blendshapes(controls: np.ndarray, person: Participant, micro: float, seed: int, keys: tuple[str, int, int, int]) -> np.ndarray:
    """(frames, 52) in 0..1: clip(sides * E y, 0, 1), blinks on their schedule, and the slow movement where there is one."""
    shapes = np.clip(controls @ SHAPE_MATRIX.T * sides(person.asymmetry), 0, 1)
    if micro:
        shapes += micro * (1 + tide(person, len(controls))[1])
    draw, frame = numpy_stream(seed, "blinks", *keys), 0
    while (frame := frame + int(draw.integers(*_BLINK_EVERY))) < len(controls):
        lid = bump((np.arange(len(controls)) - frame) / _BLINK_WIDTH)[:, None]
        columns = [ARKIT_NAMES.index(name) for name in _BLINKS]
        shapes[:, columns] = np.maximum(shapes[:, columns], lid)
    return np.clip(shapes, 0, 1)


def coefficients(controls: np.ndarray, shapes: np.ndarray) -> np.ndarray:
    """(frames, 58) float32: blendshapes; angles (pi + pitch, yaw, roll); translation (0, 0, DISTANCE + lean)."""
    pitch, yaw, roll, lean = (controls[:, CONTROLS.index(name)] for name in ("pitch", "yaw", "roll", "lean"))
    zero = np.zeros_like(lean)
    rows = np.concatenate([shapes, np.stack([np.pi + pitch, yaw, roll, zero, zero, DISTANCE + lean], 1)], 1).astype(np.float32)
    assert rows.shape[1] == N_COEFFICIENTS
    return rows


def attributes(controls: np.ndarray, shapes: np.ndarray, person: Participant, binary: bool) -> np.ndarray:
    """(frames, 25) float32: 15 action units, valence, arousal, 8 expressions."""
    means = {name: shapes[:, shape_columns(name)].mean(1) for names in UNITS for name in names}
    units = np.stack([np.max([means[name] for name in names], 0) if index == 13 else np.mean([means[name] for name in names], 0)
                      for index, names in enumerate(UNITS)], 1)
    if binary:
        units = (units > OCCURS).astype(np.float64)
    values = {name: controls[:, CONTROLS.index(name)] for name in CONTROLS}
    smile, frown = np.clip(values["smile"], 0, None), np.clip(-values["smile"], 0, None)
    valence = np.tanh(2 * (smile - frown - values["brow_down"]))
    nod = np.abs(values["pitch"] - person.baseline[CONTROLS.index("pitch")])
    arousal = np.tanh(values["jaw"] + values["brow_up"] + values["wide"] + nod - 0.3)
    moves = np.stack([smile, frown, *(values[name] for name in ("brow_down", "brow_up", "wide", "jaw", "press", "squint"))], 1)
    logits = REST + moves @ MOODS.T
    odds = np.exp(logits - logits.max(1, keepdims=True))
    moods = odds / odds.sum(1, keepdims=True)
    return np.concatenate([units, valence[:, None], arousal[:, None], moods], 1).astype(np.float32)
