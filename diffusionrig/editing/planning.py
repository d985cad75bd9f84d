"""Planning: which outputs a run has, and what their files are called."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from diffusionrig.editing.analysis import Analysis
from diffusionrig.editing.controls import RECONSTRUCTION, Edit
from diffusionrig.editing.request import Request


@dataclasses.dataclass(frozen=True)
class Planned:
    """One output and its file."""

    request: Request
    file: str


def plan(sources: Analysis, targets: Analysis | None, edits: Sequence[Edit], *, before: int = 0, done: int = 0,
         limit: int | None = None, rebuilt: Sequence[bool] | None = None, steady: Sequence[bool] | None = None) -> list[Planned]:
    """Every source with every target in every mode, counted in the published order; faceless pictures are left out.

    The reconstruction of a source comes before its edits, so that a source is done with before the next begins. ``before`` sources
    and ``done`` edits were planned earlier, and ``limit`` is the most edits of all. ``rebuilt`` says for each source whether it has
    a reconstruction (all have one when it is left out), ``steady`` for each whether its skull keeps its place.
    """
    usable = [i for i in range(len(sources)) if bool(sources.found[i])]
    aims: list[int | None] = [None]
    if targets is not None:
        aims = [j for j in range(len(targets)) if bool(targets.found[j])]
    planned = []
    for i in usable:
        asked = [Request(i, j, edit, steady is not None and steady[i]) for j in aims for edit in edits]
        asked = asked[:None if limit is None else max(limit - done, 0)]
        if asked and (rebuilt is None or rebuilt[i]):
            planned.append(Planned(Request(i, None, Edit(RECONSTRUCTION)), f"{RECONSTRUCTION}_{before + i}.png"))
        planned += [Planned(request, f"{done + number}_{request.edit.name}.png") for number, request in enumerate(asked)]
        done += len(asked)
    return planned
