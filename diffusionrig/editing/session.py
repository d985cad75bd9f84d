"""A whole editing run: sources x targets x modes in, pictures, contact sheets and a report out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diffusionrig.editing.order import Order, guard
from diffusionrig.editing.outputs import Outputs
from diffusionrig.editing.photographs import Cut, cut_face
from diffusionrig.editing.planning import Planned, plan
from diffusionrig.editing.reporting import write_report
from diffusionrig.editing.rig import Rig
from diffusionrig.editing.sides import Read, Side, list_pictures, look_at, nothing_usable, plainly
from diffusionrig.faces.backends import make_finder
from diffusionrig.io.files import make_folder
from diffusionrig.io.images import read_image
from diffusionrig.progress import Progress

ALIGNED_SIZE = 256

SOURCES_AT_ONCE = 64
"""Sources that are captured, drawn and let go together, so that any number of them takes the memory of so many."""


def run_session(rig: Rig, order: Order) -> dict[str, Any]:
    """Edit every source with every target and write the results; returns the report.

    Outputs are ``{index}_{mode}.png`` counted over all of them as in the published script, ``reconstruction_{i}.png`` per
    source, contact sheets and ``report.json``. Raises RigError when no picture could be edited.
    """
    order.check()
    source_paths = list_pictures(order.source, "source")
    target_paths = list_pictures(order.target, "target") if order.target else []
    request = order.request(rig.pretrained.hash)
    guard(make_folder(order.output_dir), request, order.overwrite)
    began = time.monotonic()
    read = _reader(order, rig.size)
    target, outputs, problems, before = None, None, [], 0
    for start in range(0, len(source_paths), SOURCES_AT_ONCE):
        source = look_at(rig, source_paths[start:start + SOURCES_AT_ONCE], read, order.source_model, order.batch_size, "sources",
                         order.paste_back or "")
        problems += source.problems
        if source.faces is not None and bool(source.faces.found.any()):
            if outputs is None:
                target = _targets(rig, order, target_paths)
                outputs = Outputs(order, rig.pretrained.hash, target)
            _draw(rig, order, source, outputs, before)
        before += len(source.paths)
        if outputs is not None and order.limit is not None and outputs.edits >= order.limit:
            break
    if outputs is None:
        raise nothing_usable("source", problems)
    return write_report(outputs.folder, request, rig.pretrained, outputs.entries,
                        problems + ([] if target is None else target.problems), began, sheets=outputs.sheets.finish())


def _targets(rig: Rig, order: Order, paths: Sequence[Path]) -> Side | None:
    """What the targets show; None when there are none to be."""
    if not paths:
        return None
    target = look_at(rig, paths, plainly(order.max_megapixels), order.target_model, order.batch_size, "targets", keep_images=False)
    target.require_face("target")
    return target


def _draw(rig: Rig, order: Order, source: Side, outputs: Outputs, before: int) -> None:
    """Draw and write all outputs of some sources, of which there were ``before`` others."""
    sources, targets = source.require_face("source"), None if outputs.target is None else outputs.target.faces
    planned: list[Planned] = plan(sources, targets, order.edits, before=before, done=outputs.edits, limit=order.limit)
    used = len({item.request.source for item in planned})
    calls = len(planned) * rig.calls(order.sampling) + used * rig.inversion_calls(order.sampling)
    with Progress(calls, "draw", "call") as progress:
        results = rig.edit_many(sources, targets, [item.request for item in planned], batch_size=order.batch_size,
                                sampling=order.sampling, on_call=progress.update)
        for item, result in zip(planned, results):
            outputs.add(item, result, source)


def _reader(order: Order, size: int) -> Read:
    """How sources are read: as aligned pictures, or as the best faces of whole photographs."""
    if not order.align_source:
        return plainly(order.max_megapixels)
    finder = make_finder()

    def read(path: Path) -> tuple[np.ndarray, Cut | None]:
        return cut_face(read_image(path, order.max_megapixels), path, finder, max(ALIGNED_SIZE, size))

    return read
