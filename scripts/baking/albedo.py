"""The albedo model: a mean texture and linear components, each a few masks times colour directions.

Colours are display-referred RGB, 0..1: the renderer multiplies them by the shading and shows the product as it is.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from . import complexion, eyes, regions, source
from .noise import smooth_field
from .texels import Texels, reduce

SKIN, LIPS, BROW = np.array([0.615, 0.475, 0.395]), np.array([0.565, 0.345, 0.310]), np.array([0.190, 0.140, 0.115])
MELANIN, LIP_MELANIN = (-0.138, -0.126, -0.114), (-0.100, -0.075, -0.065)
"""Change of skin and lips per standard deviation: at -2.5 very light, at +2.5 very dark skin."""

BROW_DENSITY = 0.72


@dataclasses.dataclass
class Component:
    """One coefficient: terms of (mask over the oversampled atlas in -1..1, RGB change at mask 1 per standard deviation)."""

    name: str
    terms: list[tuple[np.ndarray, tuple[float, float, float]]]


def blend(image: np.ndarray, colour: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Move ``image`` (..., 3) towards ``colour`` by ``weight`` (...)."""
    return image + weight[..., None] * (colour - image)


def paint(data: Path, under: Texels, joints: np.ndarray) -> dict[str, np.ndarray]:
    """albedo_mean uint8 (S, S, 3), albedo_names, and the terms owner (M,), masks int8 (M, S, S), directions (M, 3)."""
    skin = under.is_part("head")
    lips = source.sample(source.mask(data, "lips", blur=4), under.old_uv) * skin
    # The mean brow lies halfway between a thin and a thick one, so that a coefficient can lead to both.
    thin, thick = (regions.brows(under.position, size) * skin * BROW_DENSITY for size in (0.75, 1.45))
    brow = (thin + thick) / 2
    marks = complexion.marks(under, joints, source.sample(source.mask(data, "ears", blur=6), under.old_uv) * skin)
    globe = eyes.globe(under, joints)
    shade = 0.42 + 0.58 * np.clip(under.openness / 0.75, 0, 1) ** 0.8
    plain = skin * shade

    mean = skin[..., None] * SKIN + complexion.offsets(marks)
    mean = blend(mean, LIPS, lips * 0.9)
    mean = blend(mean, BROW, brow)
    mean = blend(mean, np.array([0.13, 0.09, 0.08]), marks["lashes"])
    mean = mean * shade[..., None]
    mean = complexion.mouth(mean, under)
    mean = eyes.paint(mean, globe)

    beard, scalp = marks["beard"] * (1 - lips), marks["scalp"]
    bare = plain * (1 - brow) * (1 - lips) * (1 - 0.85 * marks["lashes"])
    fine = smooth_field(under.position, 0.006, "blemish fine") / 2.5
    broad = smooth_field(under.position, 0.030, "blemish broad") / 2.5
    components = [
        Component("melanin", [(bare, MELANIN), (lips * shade, LIP_MELANIN)]),
        Component("haemoglobin", [(bare, (0.008, -0.009, -0.008)), (lips * shade, (0.010, -0.010, -0.008))]),
        Component("undertone", [(bare, (0.002, 0.004, -0.010))]),
        Component("lips_red", [(lips, (0.030, -0.014, -0.008))]),
        Component("lips_dark", [(lips, (-0.035, -0.030, -0.025))]),
        Component("brow_dark", [(brow, (-0.060, -0.047, -0.038))]),
        Component("brow_thick", [(thick - thin, tuple((BROW - SKIN) / 5))]),
        Component("beard_shadow", [(beard * plain, complexion.BEARD)]),
        Component("scalp_shadow", [(scalp * plain, complexion.SCALP)]),
        Component("cheek_red", [(marks["cheeks"] * bare, complexion.FLUSH)]),
        Component("nose_ear_red", [(marks["nose_ears"] * bare, complexion.FLUSH)]),
        Component("under_eye", [(marks["under_eye"] * bare, complexion.UNDER_EYE)]),
        Component("centre_light", [(marks["centre"] * bare, (0.016, 0.015, 0.013))]),
        Component("freckles", [(marks["freckles"] * bare, complexion.FRECKLE)]),
        Component("blemish_fine", [(fine * bare, (-0.010, -0.018, -0.017))]),
        Component("blemish_broad", [(broad * bare, (-0.017, -0.018, -0.017))]),
        Component("iris_blue", [(globe.iris, (0.040, 0.085, 0.107))]),
        Component("iris_green", [(globe.iris, (-0.004, 0.022, -0.028))]),
        Component("iris_light", [(globe.iris, (0.046, 0.040, 0.034))]),
        Component("sclera_tint", [(globe.white, (0.004, -0.020, -0.030))]),
    ]
    return packed(mean, components)


def packed(mean: np.ndarray, components: list[Component]) -> dict[str, np.ndarray]:
    """Reduce to the atlas size and to integers; each mask is scaled to use all of int8."""
    owner, masks, directions = [], [], []
    for number, component in enumerate(components):
        for mask, direction in component.terms:
            small = reduce(mask)
            peak = float(np.abs(small).max())
            owner.append(number)
            masks.append(np.rint(small / peak * 127).astype(np.int8))
            directions.append(np.array(direction) * peak)
    return {"albedo_mean": np.rint(np.clip(reduce(mean), 0, 1) * 255).astype(np.uint8),
            "albedo_names": np.array([component.name for component in components]),
            "albedo_owner": np.array(owner, np.uint8), "albedo_masks": np.stack(masks),
            "albedo_directions": np.stack(directions).astype(np.float32)}
