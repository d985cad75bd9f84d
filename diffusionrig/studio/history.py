"""Where an edit has been: presets that were settled on, what changed from each to the next, and what each looked like."""

from __future__ import annotations

import dataclasses
from typing import Any

from diffusionrig.editing.presets import Preset
from diffusionrig.errors import UsageError

LONGEST = 100
"""Steps that are kept, the last ones."""

MOST_CHANGES = 4
"""Changes of a step that are told; of further ones how many."""


@dataclasses.dataclass
class Step:
    """number   counts all steps that there have been
    picture  JPEG, small; None until it is seen
    """

    number: int
    preset: Preset
    picture: bytes | None = None


class History:
    """Steps one after another, and the place among them."""

    def __init__(self) -> None:
        self._steps, self._at, self._count = [Step(0, Preset())], 0, 1

    @property
    def now(self) -> Step:
        """The step that is shown."""
        return self._steps[self._at]

    def commit(self, preset: Preset) -> None:
        """Go on to ``preset``; what was undone before is forgotten."""
        if preset == self.now.preset:
            return
        self._steps = [*self._steps[:self._at + 1], Step(self._count, preset)][-LONGEST:]
        self._at, self._count = len(self._steps) - 1, self._count + 1

    def move(self, by: int) -> Preset:
        """Back (-1) or forth (1) a step, as far as there is one."""
        self._at = min(max(self._at + by, 0), len(self._steps) - 1)
        return self.now.preset

    def go_to(self, number: int) -> Preset:
        """To the step of that number, wherever it is; UsageError when it is kept no more."""
        self._at = self._steps.index(self.step(number))
        return self.now.preset

    def step(self, number: int) -> Step:
        """The step of that number; UsageError when it is kept no more."""
        for step in self._steps:
            if step.number == number:
                return step
        raise UsageError(f"There is no step {number} in the history.")

    def ways(self) -> dict[str, bool]:
        """Whether there is something to undo and to redo."""
        return {"undo": self._at > 0, "redo": self._at < len(self._steps) - 1}

    def to_json(self) -> dict[str, Any]:
        """The steps, oldest first, and the number of that which is shown."""
        befores = [Preset(), *(step.preset for step in self._steps)]
        return {"now": self.now.number,
                "steps": [{"number": step.number, "seen": step.picture is not None, **_changes(before, step.preset)}
                          for before, step in zip(befores, self._steps)]}


def _changes(before: Preset, after: Preset) -> dict[str, Any]:
    """changes: [name, value] of what was moved, as far as told, with null for what is at rest again; more: how many others;
    empty: whether nothing is asked for."""
    changed = []
    for old, new in zip(*(map(dict, (preset.sliders, preset.moves, preset.taken)) for preset in (before, after))):
        changed += [[name, new.get(name)] for name in {**old, **new} if old.get(name) != new.get(name)]
    return {"changes": changed[:MOST_CHANGES], "more": max(0, len(changed) - MOST_CHANGES), "empty": after == Preset()}
