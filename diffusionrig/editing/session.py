"""A whole editing run: sources x targets x modes in, pictures, contact sheets and a report out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from diffusionrig.editing.conditions import REFERENCE
from diffusionrig.editing.order import UNPLACED, Order, guard
from diffusionrig.editing.outputs import Outputs
from diffusionrig.editing.planning import Planned, plan
from diffusionrig.editing.reporting import write_begun, write_report
from diffusionrig.editing.rig import Rig
from diffusionrig.editing.sides import Read, Side, list_pictures, look_at, nothing_usable, plainly, reader, unread_beside
from diffusionrig.errors import UsageError
from diffusionrig.io.folder_lock import folder_lock
from diffusionrig.progress import Progress

SOURCES_AT_ONCE = 64
"""Sources that are captured, drawn and let go together, so that any number of them takes the memory of so many."""


def run_session(rig: Rig, order: Order) -> dict[str, Any]:
    """Edit every source with every target and write the results; returns the report.

    Outputs are ``{index}_{mode}.png`` counted over all of them as in the published script, ``reconstruction_{i}.png`` per
    source that is aligned, contact sheets and ``report.json``. Raises RigError when no picture could be edited, and
    while another run works in the folder.
    """
    order.check()
    source_paths = list_pictures(order.source, "source")
    target_paths = list_pictures(order.target, "target") if order.target else []
    with folder_lock(order.output_dir, "edit"):
        return _edit_all(rig, order, source_paths, target_paths)


def _edit_all(rig: Rig, order: Order, source_paths: list[Path], target_paths: list[Path]) -> dict[str, Any]:
    request = order.request(rig.pretrained.hash)
    guard(Path(order.output_dir), request, order.overwrite)
    began = time.monotonic()
    read = reader(False if order.paste_back else order.align_source, rig.size, order.max_megapixels, order.face)
    read_target = plainly(order.max_megapixels) if order.align_source is False else reader(None, rig.size, order.max_megapixels)
    target, outputs, doubts, before = None, None, list[dict[str, str]](), 0
    problems = [entry for path in (order.source, order.target) if path for entry in unread_beside(path, order.output_dir)]
    for start in range(0, len(source_paths), SOURCES_AT_ONCE):
        source = look_at(rig, source_paths[start:start + SOURCES_AT_ONCE], read, order.source_model, order.batch_size, "sources",
                         order.paste_back or "", profiles=rig.pretrained.condition != REFERENCE)
        problems += source.problems
        doubts += source.doubts
        if source.faces is not None and bool(source.faces.found.any()):
            if outputs is None:
                target = _targets(rig, order, target_paths, read_target)
                outputs = Outputs(order, rig.pretrained, target, read_target)
                write_begun(outputs.folder, request)
            _draw(rig, order, source, outputs, before)
        before += len(source.paths)
        if outputs is not None and order.limit is not None and outputs.edits >= order.limit:
            break
    if outputs is None:
        raise nothing_usable("source", problems)
    if target is not None:
        problems += target.problems
        doubts += target.doubts
    return write_report(outputs.folder, request, rig.pretrained, outputs.entries, problems, began, doubts=doubts,
                        sheets=outputs.sheets.finish())


def _targets(rig: Rig, order: Order, paths: Sequence[Path], read: Read) -> Side | None:
    """What the targets show; None when there are none to be."""
    if not paths:
        return None
    target = look_at(rig, paths, read, order.target_model, order.batch_size, "targets", keep_images=False)
    target.require_face("target")
    return target


def _draw(rig: Rig, order: Order, source: Side, outputs: Outputs, before: int) -> None:
    """Draw and write all outputs of some sources, of which there were ``before`` others."""
    sources, targets = source.require_face("source"), None if outputs.target is None else outputs.target.faces
    if order.paste_back == "" and not all(cut.whole for cut in source.cuts):
        raise UsageError(UNPLACED)
    written = [outputs.written(cut) for cut in source.cuts]
    carrying = rig.pretrained.condition == REFERENCE
    planned: list[Planned] = plan(sources, targets, order.edits, before=before, done=outputs.edits, limit=order.limit,
                                  rebuilt=[kind != "photo" for kind in written],
                                  steady=[carrying and kind != "aligned" for kind in written])
    used = len({item.request.source for item in planned})
    calls = len(planned) * rig.calls(order.sampling) + used * rig.inversion_calls(order.sampling)
    with Progress(calls, "draw", "call") as progress:
        results = rig.edit_many(sources, targets, [item.request for item in planned], batch_size=order.batch_size,
                                sampling=order.sampling, on_call=progress.update)
        for item, result in zip(planned, results):
            outputs.add(item, result, source)
