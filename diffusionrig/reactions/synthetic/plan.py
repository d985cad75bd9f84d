"""Which clips a synthetic corpus has, who is in them, and what they show; everything is worked out from the options alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from diffusionrig.randomness import numpy_stream
from diffusionrig.reactions.corpus.clips import ROLES, ClipId
from diffusionrig.reactions.corpus.layout import MARS_SITE, SPLITS
from diffusionrig.reactions.corpus.matrices import class_matrix
from diffusionrig.reactions.synthetic.behaviour import controls_over_time
from diffusionrig.reactions.synthetic.observables import attributes, blendshapes, coefficients
from diffusionrig.reactions.synthetic.options import MOST_DYADS, Options
from diffusionrig.reactions.synthetic.people import Participant, sample_participant
from diffusionrig.reactions.synthetic.situations import (
    Event,
    Situation,
    alike,
    reaction_matrix,
    sample_events,
    sample_situation,
)

_PLACE = {"NoXI": "{number:03d}_2016-03-17_Paris", "RECOLA": "group-{number}", "UDIVA": "talk/{number:03d}{number:03d}"}
_SPREAD = (0.6, 1.4)  # lengths of MARS clips, in shares of the frames asked for


@dataclasses.dataclass(frozen=True)
class ClipPlan:
    """One clip: its place among the dyads, the ids of both participants, frames (of the attributes), and the situation."""

    split: str
    dyad: int
    number: int
    ids: tuple[ClipId, ClipId]
    frames: int
    situation: Situation

    @property
    def keys(self) -> tuple[str, int, int]:
        return self.split, self.dyad, self.number


@dataclasses.dataclass(frozen=True, eq=False)
class Performance:
    """What one participant does in a clip: the controls (frames + 1, 12), coefficients (frames + 1, 58), attributes
    (frames, 25) and the events it shows in its turns."""

    person: Participant
    controls: np.ndarray
    coefficients: np.ndarray
    attributes: np.ndarray
    events: list[Event]


def clip_plans(options: Options, split: str) -> list[ClipPlan]:
    """The clips of a split, in the order of its csv file."""
    plans = []
    for dyad in range(options.dyads[SPLITS.index(split)]):
        for number in range(options.clips):
            situation = sample_situation(options, split, dyad, number)
            frames = options.frames
            if options.layout == "mars":
                low, high = _SPREAD
                frames = round(frames * numpy_stream(options.seed, "length", split, dyad, number).uniform(low, high))
            plans.append(ClipPlan(split, dyad, number, _ids(options, split, dyad, number, situation), frames, situation))
    return sorted(plans, key=lambda plan: plan.ids[0]) if options.layout == "mars" else plans


def _ids(options: Options, split: str, dyad: int, number: int, situation: Situation) -> tuple[ClipId, ClipId]:
    # Numbers of sessions are split-wise, so that more dyads in one split rename nothing in another.
    session_number = SPLITS.index(split) * (MOST_DYADS + 1) + dyad + 1
    if options.layout == "mars":
        session = situation.name if situation.name.isdecimal() else f"{1000 + session_number * 100 + number}"
        name = f"Camera-2024-06-21-{session_number:06d}-{number:06d}"
        first, second = (ClipId(MARS_SITE, f"session{session}", role, name) for role in ("speaker", "listener"))
        return first, second
    site = options.sites[dyad % len(options.sites)]
    roles = [names for names in ROLES[site] if names != ("P1", "P2")]
    if site == "NoXI":
        roles = roles[:1]
    session = _PLACE[site].format(number=session_number)
    first, second = (ClipId(site, session, role, str(number + 1)) for role in roles[session_number % len(roles)])
    return first, second


@lru_cache(maxsize=64)
def participant(seed: int, split: str, dyad: int, role: int) -> Participant:
    """As ``sample_participant``, remembered."""
    return sample_participant(seed, split, dyad, role)


def perform(options: Options, plan: ClipPlan, role: int) -> Performance:
    """What participant ``role`` (0 or 1) of a clip does."""
    people = [participant(options.seed, plan.split, plan.dyad, who) for who in (0, 1)]
    script = options.frames if options.layout == "react" else round(options.frames * _SPREAD[1])
    own, partner = (sample_events(options, plan.situation, who, plan.keys, script) for who in (role, 1 - role))
    keys, count = (*plan.keys, role), plan.frames + 1
    y = controls_over_time(options, people[role], own, partner, reaction_matrix(plan.situation), keys, count)
    shapes = blendshapes(y, people[role], options.micro, options.seed, keys)
    seen = attributes(y[:-1], shapes[:-1], people[role], options.au_mode == "binary")
    return Performance(people[role], y, coefficients(y, shapes), seen, own)


def performances(options: Options, plans: list[ClipPlan]) -> Iterator[tuple[ClipPlan, int, Performance]]:
    """Every participant of every clip, one at a time."""
    for plan in plans:
        for role in (0, 1):
            yield plan, role, perform(options, plan, role)


def true_matrix(plans: list[ClipPlan]) -> np.ndarray:
    """(2P, 2P) bool in mirrored order: items whose situations are alike and whose roles run the same way."""
    situations = [plan.situation for plan in plans]
    if all(situation.angle is None for situation in situations):
        same = class_matrix([situation.name for situation in situations])
    else:
        same = np.array([[alike(one, other) for other in situations] for one in situations])
    empty = np.zeros_like(same)
    return np.block([[same, empty], [empty, same]])
