"""Skin, lips, brows and eyes as albedo coefficients that go together with the rest of a person's looks."""

from __future__ import annotations

import numpy as np

# Spread of coefficients whose full standard deviation would be a face rarely seen; others are drawn as they are.
_SPREAD = {"melanin": 1.05, "haemoglobin": 0.8, "undertone": 0.9, "cheek_red": 0.6, "nose_ear_red": 0.6, "under_eye": 0.7,
           "blemish_fine": 0.35, "blemish_broad": 0.45, "centre_light": 0.7, "lips_red": 0.7, "lips_dark": 0.7,
           "brow_thick": 0.6, "sclera_tint": 0.5}
_OTHERWISE, _LIMIT = 0.7, 2.4


def sample_melanin(rng: np.random.Generator) -> float:
    """Darkness of the skin in standard deviations, very light to very dark."""
    return float(np.clip(_SPREAD["melanin"] * rng.standard_normal(), -2.3, 2.3))


def sample_albedo(rng: np.random.Generator, names: tuple[str, ...], melanin: float, hair: np.ndarray, shaven: float,
                  cropped: float, freckles: float, makeup: float) -> np.ndarray:
    """Albedo coefficients (len(names),) of the components ``names``.

    ``melanin`` is given; ``hair`` (3,) colours the brows; ``shaven`` and ``cropped`` (0..1) say how much hair shows
    through the skin of chin and scalp, ``freckles`` and ``makeup`` (0..1) how many and how much. Components with other
    names are drawn as normal values of spread 0.7.
    """
    values = {name: _SPREAD.get(name, _OTHERWISE) * rng.standard_normal() for name in names}
    light_hair = float(np.clip((hair.mean() - 0.08) / 0.35, 0.0, 1.0))
    pale = float(np.clip((0.4 - melanin) / 1.5, 0.0, 1.0))
    iris = rng.random()
    values.update(
        melanin=melanin, freckles=2.0 * freckles * pale + 0.05 * rng.random(), beard_shadow=-0.4 + 2.2 * shaven,
        scalp_shadow=-0.5 + 1.8 * cropped, brow_dark=1.0 - 2.4 * light_hair + 0.3 * rng.standard_normal(),
        iris_blue=pale * (1.3 if iris < 0.3 else 0.2) * rng.random(), iris_green=pale * (1.4 if 0.3 <= iris < 0.5 else 0.2)
        * rng.random(), iris_light=(0.2 + 0.8 * pale) * (1.4 * rng.random() - 0.6))
    if "lips_red" in values:
        values["lips_red"] += 1.2 * makeup
    if "blemish_broad" in values:
        values["blemish_broad"] *= 1 + 0.5 * rng.random()
    return np.clip([values[name] for name in names], -_LIMIT, _LIMIT)
