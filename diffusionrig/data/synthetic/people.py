"""Who is photographed: everything about a person that all of their photographs share."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor

from diffusionrig.data.synthetic.complexion import sample_albedo, sample_melanin
from diffusionrig.errors import UsageError
from diffusionrig.geometry.arkit import ARKIT_NAMES
from diffusionrig.geometry.head import HeadModel
from diffusionrig.randomness import numpy_stream, stream_seed

Colour = tuple[float, ...]
"""Red, green, blue in 0..1."""

HAIR_KINDS = ("bald", "buzz", "short", "swept", "fringe", "bob", "long", "tied", "curly")

_HAIR_COLOURS: dict[str, tuple[Colour, float]] = {
    "black": ((0.055, 0.048, 0.045), 0.30), "dark brown": ((0.13, 0.085, 0.06), 0.24),
    "brown": ((0.23, 0.145, 0.09), 0.17), "light brown": ((0.36, 0.25, 0.15), 0.09), "blond": ((0.62, 0.48, 0.28), 0.09),
    "red": ((0.40, 0.17, 0.08), 0.04), "grey": ((0.50, 0.49, 0.47), 0.07)}


@dataclasses.dataclass(frozen=True)
class Hair:
    """A haircut. Lengths in metres, angles in degrees (azimuth 0 is the face's front, positive to the subject's left)."""

    kind: str
    colour: Colour
    shine: float
    top: float
    side: float
    hairline: float
    receding: float
    fringe: float
    length: float
    parting: float
    pole_tilt: float
    wave: float
    curl: float
    seed: int


@dataclasses.dataclass(frozen=True)
class Skin:
    """What skin shows beyond the head model's albedo."""

    oiliness: float
    freckles: float
    moles: int
    blotches: float
    pores: float
    age: float
    stubble: float
    makeup: float
    brow_strength: float
    seed: int


@dataclasses.dataclass(frozen=True)
class Clothes:
    """How the person dresses; the colour is chosen anew for every photograph."""

    neckline: str
    shoulder: float
    pattern: str


@dataclasses.dataclass(frozen=True)
class Glasses:
    """A frame: half width and half height of a lens and rim thickness in metres."""

    width: float
    height: float
    rim: float
    roundness: float
    colour: Colour


@dataclasses.dataclass(frozen=True, eq=False)
class Person:
    """One synthetic person: identity and albedo coefficients (1, n) of ``head`` and the looks beyond them."""

    seed: int
    index: int
    head: str
    shape: Tensor
    albedo: Tensor
    hair: Hair
    beard: float
    skin: Skin
    clothes: Clothes
    glasses: Glasses | None


def require_arkit(head: HeadModel) -> None:
    """Synthetic photographs need the ARKit-52 expression axes; UsageError for a head without them."""
    if set(head.expression_names) != set(ARKIT_NAMES):
        raise UsageError(f"Synthetic people need a head model with the 52 ARKit expressions; {head.name!r} has "
                         f"{head.n_expression} others. Use the open head.")


def sample_person(seed: int, index: int, head: HeadModel) -> Person:
    """Person number ``index`` of the crowd ``seed``; always the same for the same two numbers."""
    require_arkit(head)
    draw = numpy_stream(seed, "synthetic person", index, "coefficients")
    shape = np.clip(0.8 * draw.standard_normal(head.n_shape), -2.2, 2.2)
    looks = numpy_stream(seed, "synthetic person", index, "looks")
    age = float(looks.beta(1.3, 2.2))
    masculine = bool(looks.random() < 0.5)
    melanin = sample_melanin(looks)
    hair = _sample_hair(looks, masculine, age, melanin, stream_seed(seed, "synthetic person", index, "hair"))
    bearded = masculine and looks.random() < 0.35
    skin = Skin(oiliness=float(looks.beta(2.0, 2.5)), freckles=float(looks.random() ** 2 * (looks.random() < 0.35)),
                moles=int(looks.poisson(2.5)), blotches=float(looks.uniform(0.3, 1.0)),
                pores=float(looks.uniform(0.3, 1.0)), age=age, stubble=float(looks.random() * masculine),
                makeup=float(looks.random() * (not masculine) * (looks.random() < 0.6)),
                brow_strength=float(looks.uniform(0.3, 1.0)), seed=stream_seed(seed, "synthetic person", index, "skin"))
    # Heads that do not name their albedo components get plain random ones.
    names = tuple(getattr(head, "albedo_names", ())) or tuple(f"component {i}" for i in range(head.n_albedo))
    albedo = sample_albedo(draw, names, melanin, np.asarray(hair.colour), skin.stubble,
                           0.0 if hair.kind == "bald" else 0.5, skin.freckles, skin.makeup)
    clothes = Clothes(neckline=str(looks.choice(["round", "vee", "collar", "high"], p=[0.4, 0.2, 0.25, 0.15])),
                      shoulder=float(looks.uniform(0.17, 0.21) + 0.015 * masculine),
                      pattern=str(looks.choice(["plain", "stripes", "knit"], p=[0.6, 0.2, 0.2])))
    glasses = _sample_glasses(looks) if looks.random() < 0.12 else None
    return Person(seed, index, head.name, torch.from_numpy(shape[None]).float(), torch.from_numpy(albedo[None]).float(),
                  hair, float(looks.uniform(0.3, 1.0)) if bearded else 0.0, skin, clothes, glasses)


def _sample_hair(rng: np.random.Generator, masculine: bool, age: float, melanin: float, seed: int) -> Hair:
    chances = ([0.09, 0.14, 0.34, 0.22, 0.09, 0.02, 0.02, 0.02, 0.06] if masculine
               else [0.0, 0.02, 0.07, 0.05, 0.08, 0.23, 0.29, 0.16, 0.10])
    kind = str(rng.choice(HAIR_KINDS, p=chances))
    colours = list(_HAIR_COLOURS)
    weights = np.array([weight for _, weight in _HAIR_COLOURS.values()])
    # Dark skin mostly comes with dark hair.
    weights[2:6] *= np.clip(1.2 - 0.8 * melanin, 0.05, 2.0)
    base, _ = _HAIR_COLOURS[colours[rng.choice(len(colours), p=weights / weights.sum())]]
    colour = np.array(base) * np.exp(rng.normal(0.0, 0.15)) * np.exp(rng.normal(0.0, 0.03, 3))
    grey = max(0.0, age - 0.55) * 2 * rng.random()
    colour = np.clip((1 - grey) * colour + grey * np.array([0.55, 0.54, 0.52]), 0.03, 0.8)
    top = {"bald": 0.0, "buzz": 0.004, "short": rng.uniform(0.012, 0.028), "swept": rng.uniform(0.018, 0.034),
           "fringe": rng.uniform(0.014, 0.024), "bob": rng.uniform(0.014, 0.024), "long": rng.uniform(0.012, 0.022),
           "tied": rng.uniform(0.008, 0.012), "curly": rng.uniform(0.022, 0.042)}[kind]
    side = top * {"short": 0.5, "swept": 0.4, "bob": 1.1, "long": 1.1, "tied": 0.8}.get(kind, 0.9)
    flows = {"bob", "long"}
    fringed = kind == "fringe" or (kind == "bob" and rng.random() < 0.4) or (kind == "long" and rng.random() < 0.2)
    parting = float(rng.choice([-1.0, 1.0]) * rng.uniform(5.0, 32.0))
    if kind in flows and not fringed:
        tilt = float(rng.uniform(24.0, 36.0))  # strands fall to both sides of a parting on top
    elif kind in {"swept", "tied"}:
        tilt = float(rng.uniform(-75.0, -55.0))  # strands run from the forehead to the back
    else:
        tilt = float(rng.uniform(-30.0, -5.0))
    return Hair(kind=kind, colour=tuple(map(float, colour)), shine=float(rng.uniform(0.2, 1.0)), top=float(top),
                side=float(side), hairline=float(rng.normal(0.0, 0.005)),
                receding=float(0.03 * age * rng.random() if masculine else 0.0),
                fringe=float(rng.uniform(0.024, 0.042)) if fringed else 0.0,
                length=float({"bob": rng.uniform(0.06, 0.12), "long": rng.uniform(0.15, 0.28)}.get(kind, 0.0)),
                parting=parting, pole_tilt=tilt, wave=float(rng.random() ** 2), curl=1.0 if kind == "curly" else 0.0,
                seed=seed)


def _sample_glasses(rng: np.random.Generator) -> Glasses:
    dark = rng.random() < 0.7
    colour = rng.uniform(0.02, 0.12, 3) if dark else rng.uniform(0.2, 0.6, 3)
    return Glasses(width=float(rng.uniform(0.024, 0.028)), height=float(rng.uniform(0.016, 0.023)),
                   rim=float(rng.uniform(0.0012, 0.0024)), roundness=float(rng.uniform(2.0, 4.5)),
                   colour=tuple(map(float, colour)))
