"""``edit`` while the driver is being filmed: frames that come in, a clip and pictures that go out, a report."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from diffusionrig.ahead import stages
from diffusionrig.editing.conditions import REFERENCE
from diffusionrig.editing.live import Drawn
from diffusionrig.editing.live_clip import LiveClip
from diffusionrig.editing.live_driving import Drive, live_edit
from diffusionrig.editing.order import OWN, REPORT, Order
from diffusionrig.editing.provenance import movie_record
from diffusionrig.editing.reporting import write_report
from diffusionrig.editing.rig import Rig
from diffusionrig.editing.sides import list_pictures, look_at, reader
from diffusionrig.errors import UsageError
from diffusionrig.io.files import make_folder
from diffusionrig.io.folder_lock import folder_lock
from diffusionrig.io.own_files import require_own

CLIP = "live.mp4"


@dataclasses.dataclass(frozen=True)
class Flow:
    """Where frames come from, (H, W, 3) uint8, as they come; ``timed`` when the ``number``-th of them stands at number / fps, else
    each stands at the time at which it comes; ``out`` is told of each picture besides; ``seconds`` after which it ends."""

    frames: Iterable[np.ndarray]
    timed: bool = False
    out: Callable[[np.ndarray], None] | None = None
    seconds: float = math.inf


def run_live(rig: Rig, order: Order, drive: Drive, flow: Flow) -> dict[str, Any]:
    """Draw the source of ``order`` in its one mode as the person in the frames moves, until these end, the time is over, or the
    user interrupts; returns the report, whose ``live`` says how it went."""
    _check(order)
    require_own(order.output_dir, {REPORT: OWN[REPORT]}, "--output_dir")
    with folder_lock(order.output_dir, "edit"):
        return _run(rig, order, drive, flow)


def _check(order: Order) -> None:
    if len(order.edits) != 1:
        raise UsageError(f"A camera drives one mode at a time, not {', '.join(edit.name for edit in order.edits)}; join parts "
                         "with +, such as --modes exp+pose.")
    clip = Path(order.output_dir) / CLIP
    if clip.exists() and not order.overwrite:
        raise UsageError(f"{clip} exists already; choose another --output_dir or --overwrite True.")


def _run(rig: Rig, order: Order, drive: Drive, flow: Flow) -> dict[str, Any]:
    began = time.monotonic()
    (edit,) = order.edits
    paths = list_pictures(order.source, "source")
    if len(paths) > 1:
        raise UsageError(f"A camera drives one picture, but {order.source} holds {len(paths)}; name one of them.")
    side = look_at(rig, paths, reader(order.align_source, rig.size, order.max_megapixels), order.source_model, 1, "source",
                   profiles=rig.pretrained.condition != REFERENCE)
    source = side.require_face("source")
    folder = make_folder(order.output_dir)
    clip = LiveClip(folder / CLIP, drive.fps, movie_record(model_hash=rig.pretrained.hash, mode=edit.name, seed=order.sampling.seed,
                                                           **edit.record()))

    def show(drawn: Drawn) -> None:
        if flow.out is not None:
            flow.out(drawn.picture)
        clip.add(drawn)

    with stages(2) as several:
        live = live_edit(rig, source[0], edit, order.sampling, show, dataclasses.replace(drive, pipelined=several),
                         order.target_model)
        ended = time.monotonic() + flow.seconds
        interrupted = False
        try:
            with contextlib.suppress(KeyboardInterrupt):
                interrupted = True
                for number, image in enumerate(flow.frames):
                    live.offer(image, number / drive.fps if flow.timed else None)
                    if time.monotonic() > ended:
                        break
                interrupted = False
        finally:
            try:
                summary = live.finish(forget=interrupted)
            finally:
                written = clip.close()
    return write_report(folder, order.request(rig.pretrained.hash), rig.pretrained,
                        [{"file": CLIP, "mode": edit.name, "source": str(paths[0]), "frames": written}] if written else [],
                        side.problems, began, live=dataclasses.asdict(summary), said=summary.sentence())
