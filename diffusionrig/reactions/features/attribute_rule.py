"""The 25 attributes by a rule from ARKit expressions: a stand-in for trained recognisers, and no more than that.

The rule is the one by which the synthetic corpus derives its attributes (``reactions.synthetic.observables``): an action unit
occurs where the mean of its blendshapes exceeds 0.25; valence, arousal and the expressions are fixed functions of smile, frown,
brows, lids and jaw. Nothing of it was learnt from ratings, so its valence and expressions do not measure what anybody feels.
"""

from __future__ import annotations

import numpy as np

from diffusionrig.reactions.frames.codes import ANGLES, EXPRESSION
from diffusionrig.reactions.synthetic.observables import MOODS, OCCURS, REST, UNITS, shape_columns


def arkit_rule(coefficients: np.ndarray) -> np.ndarray:
    """(T, 58) absolute coefficients, zero at rest as FIT's are -> (T, 25) float32, action units as occurrences."""
    rows = np.asarray(coefficients, np.float64)
    shapes = rows[:, EXPRESSION]

    def mean(*names: str) -> np.ndarray:
        return np.asarray(np.mean([shapes[:, shape_columns(name)].mean(1) for name in names], 0))

    units = np.stack([np.max([mean(name) for name in names], 0) if "jawOpen" in names else mean(*names) for names in UNITS], 1)
    smile, frown, down, up = mean("mouthSmile"), mean("mouthFrown"), mean("browDown"), mean("browInnerUp", "browOuterUp")
    wide, jaw, press, squint = mean("eyeWide"), mean("jawOpen"), mean("mouthPress"), mean("eyeSquint")
    nod = np.abs(rows[:, ANGLES.start] - np.median(rows[:, ANGLES.start]))
    logits = REST + np.stack([smile, frown, down, up, wide, jaw, press, squint], 1) @ MOODS.T
    odds = np.exp(logits - logits.max(1, keepdims=True))
    occurs = np.where(np.isfinite(units), (units > OCCURS).astype(np.float64), np.nan)
    feeling = np.stack([np.tanh(2 * (smile - frown - down)), np.tanh(jaw + up + wide + nod - 0.3)], 1)
    return np.concatenate([occurs, feeling, odds / odds.sum(1, keepdims=True)], 1).astype(np.float32)
