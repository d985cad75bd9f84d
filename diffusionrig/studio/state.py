"""What the studio remembers, so that a page that is loaded again goes on where it was: photographs, edit, history, seed."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from diffusionrig.editing.controls import Edit
from diffusionrig.editing.pasting import scaling
from diffusionrig.editing.presets import Preset
from diffusionrig.studio.history import History
from diffusionrig.studio.sitting import Sitting


@dataclasses.dataclass
class State:
    """sitting and ``target`` are the first and the second photograph; ``preset`` what is asked for now, not yet in the history
    while a slider is dragged; ``photo_number`` counts the photographs and faces that sat, ``target_number`` the second ones, and
    ``revision`` everything that changes the picture."""

    sitting: Sitting | None = None
    target: Sitting | None = None
    preset: Preset = dataclasses.field(default_factory=Preset)
    seed: int = 0
    history: History = dataclasses.field(default_factory=History)
    photo_number: int = 0
    target_number: int = 0
    revision: int = 0

    def ask(self, preset: Preset) -> None:
        """Ask for something else."""
        self.preset, self.revision = preset, self.revision + 1

    def edit(self) -> Edit:
        """What is asked for; without a second photograph nothing is taken from one."""
        preset = self.preset if self.target is not None else dataclasses.replace(self.preset, taken=())
        return preset.edit(self.target is not None)

    def seat(self, sitting: Sitting) -> None:
        """Another photograph, or another face of it: edits begin anew."""
        self.sitting, self.photo_number = sitting, self.photo_number + 1
        self.history = History()
        self.ask(Preset())

    def reseat(self, sitting: Sitting | None, target: Sitting | None) -> None:
        """The same photographs, captured anew for another model: edits stay."""
        self.sitting, self.target, self.revision = sitting, target, self.revision + 1

    def seat_target(self, sitting: Sitting | None) -> None:
        """Another second photograph, or none."""
        self.target, self.target_number = sitting, self.target_number + 1
        self.revision += 1

    def to_json(self) -> dict[str, Any]:
        """All that a page needs to show it."""
        return {"photo": None if self.sitting is None else _described(self.sitting, self.photo_number),
                "target": None if self.target is None else _described(self.target, self.target_number),
                "revision": self.revision, "preset": self.preset.to_json(), "seed": self.seed, "history": self.history.ways()}


def _described(sitting: Sitting, number: int) -> dict[str, Any]:
    photograph, cut = sitting.photograph, sitting.screen_cut
    # From pixels of the copy on the screen, with (0, 0) at the corner of the first, to the unit square of the face.
    corner = np.array([[1.0, 0.0, -0.5], [0.0, 1.0, -0.5], [0.0, 0.0, 1.0]])
    unit = np.linalg.inv(corner) @ scaling(cut.size, 1) @ cut.matrix @ corner
    height, width = photograph.image.shape[:2]
    return {"id": number, "name": photograph.name, "width": width, "height": height, "faces": len(photograph.faces),
            "number": sitting.number, "confidence": round(sitting.confidence, 3), "note": sitting.note,
            "screen": [sitting.screen.shape[1], sitting.screen.shape[0]], "matrix": unit[:2].tolist()}
