"""What is known of a synthetic corpus: people, situations, events and who suits whom, as truth.json keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from diffusionrig import __version__
from diffusionrig.reactions.corpus.attributes import COLUMNS
from diffusionrig.reactions.corpus.layout import SPLITS
from diffusionrig.reactions.synthetic.controls import CONTROLS, EVENTS
from diffusionrig.reactions.synthetic.options import Options
from diffusionrig.reactions.synthetic.people import Participant
from diffusionrig.reactions.synthetic.plan import ClipPlan, Performance, participant
from diffusionrig.reactions.synthetic.situations import CIRCLE_REACH


def person_truth(person: Participant) -> dict[str, Any]:
    """What a person keeps."""
    return {"lag": person.lag, "gains": _rounded(person.gains), "baseline": _rounded(person.baseline),
            "asymmetry": round(person.asymmetry, 6), "voice": round(person.voice, 3)}


def item_truth(plan: ClipPlan, role: int, performance: Performance) -> dict[str, Any]:
    """What one participant does in one clip; ``constant`` names the attributes that do not move."""
    still = np.ptp(performance.attributes, axis=0) == 0
    return {"person": performance.person.name, "partner": f"{plan.split}/{plan.dyad}/{1 - role}",
            "events": [[EVENTS[event.kind], event.frame, event.amplitude] for event in performance.events],
            "constant": [name for name, flag in zip(COLUMNS, still) if flag]}


def clip_truth(plan: ClipPlan, members: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A clip: its pair of ids (speaker first), its situation, and both participants."""
    return {"speaker": str(plan.ids[0]), "listener": str(plan.ids[1]), "frames": plan.frames, "class": plan.situation.name,
            "angle": plan.situation.angle, "participants": list(members)}


def truth(options: Options, clips: dict[str, list[dict[str, Any]]], matrices: dict[str, np.ndarray]) -> dict[str, Any]:
    """All of truth.json. ``neighbours`` lists, per item in mirrored order, the items whose listeners suit its speaker."""
    people = {person.name: person_truth(person) for split, count in zip(SPLITS, options.dyads)
              for person in (participant(options.seed, split, dyad, role) for dyad in range(count) for role in (0, 1))}
    return {"software": f"diffusionrig {__version__}", "options": options.request(), "fps": options.fps,
            "controls": list(CONTROLS), "events": list(EVENTS), "neutral": "none", "circle_reach": CIRCLE_REACH, "people": people,
            "splits": {split: {"clips": clips[split], "neighbours": [np.flatnonzero(row).tolist() for row in matrices[split]]}
                       for split in SPLITS}}


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(value), 6) for value in values]
