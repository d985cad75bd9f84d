"""Drawing a clip of one person: one noise for all frames, so that nothing moves but what the codes move; resumable.

A pipeline: while the network draws one frame, the photograph is carried for the next, and the frame before is written.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diffusionrig.ahead import ahead, stages
from diffusionrig.editing.analysis import Analysis
from diffusionrig.editing.conditions import Condition
from diffusionrig.editing.flicker import Flicker, stretches
from diffusionrig.editing.jitter import Jitter
from diffusionrig.editing.painting import OnCall
from diffusionrig.editing.prepared import Prepared
from diffusionrig.editing.rig import Rig
from diffusionrig.editing.sampling import Sampling
from diffusionrig.errors import RigError, UsageError
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.io.files import make_folder, read_json, remove_files, write_json
from diffusionrig.io.images import find_images, read_image
from diffusionrig.io.sheets import to_uint8

JOURNAL = "journal.json"


class FrameFolder:
    """A folder of ``frame_{t}.png``, filled over as many runs as it takes.

    ``request`` (plain JSON values) decides the pictures and is written down first, so that a later run continues only its own
    work; a folder begun for something else is refused, or emptied of its frames with ``overwrite``.
    """

    def __init__(self, folder: str | Path, request: dict[str, Any], count: int, overwrite: bool = False) -> None:
        self.folder, self.count = make_folder(folder), count
        journal = self.folder / JOURNAL
        found = find_images(self.folder, recursive=False)
        if found and not (journal.is_file() and read_json(journal) == request):
            if not overwrite:
                raise UsageError(f"{self.folder} already holds frames that were made otherwise; choose another output folder or "
                                 "--overwrite True.")
            remove_files(found)
        write_json(journal, request)

    def path(self, frame: int) -> Path:
        return self.folder / f"frame_{frame}.png"

    def missing(self) -> list[int]:
        """Frames that are still to be made."""
        return [frame for frame in range(self.count) if not self.path(frame).is_file()]

    def frames(self) -> Iterator[np.ndarray]:
        """All frames in order; RigError when one is missing or damaged."""
        return map(self.read, range(self.count))

    def read(self, frame: int) -> np.ndarray:
        """One of them."""
        if not self.path(frame).is_file():
            raise RigError(f"{self.path(frame)} is missing; start the same command again to draw it.")
        return read_image(self.path(frame))


def draw_clip(rig: Rig, source: Analysis | Prepared, code: FaceCode, centre: Tensor, frames: Sequence[int], sampling: Sampling,
              batch_size: int = 4, on_call: OnCall | None = None) -> Iterator[tuple[int, np.ndarray]]:
    """Draw ``frames`` of a clip as the person of ``source`` (one face); yields number and (S, S, 3) uint8 picture, in order.

    ``code`` has T faces and ``centre`` (T, 3) metres is where the heads lie. All frames start from one noise: that of the seed,
    mixed, as ``sampling.keep`` says, with the one that ``source`` itself is drawn from; a source that comes again and again is
    prepared beforehand (``rig.painter.prepare``). An album lends all frames from the same photographs. A frame does not depend on
    which others are drawn, nor, in a single bit, on ``batch_size``: a CPU, whose kernels round by the size of their batch, draws
    them one by one.
    """
    if not frames:
        return
    painter = rig.painter
    prepared = source if isinstance(source, Prepared) else painter.prepare(source, sampling, on_call)
    prepared = dataclasses.replace(prepared, faces=painter.complete(prepared.faces))
    lenders = painter.lenders(prepared, code, centre)
    together = 1 if painter.device.type == "cpu" else batch_size
    groups = [list(frames[start:start + together]) for start in range(0, len(frames), together)]

    def conditions() -> Iterator[tuple[list[int], Prepared, Condition]]:
        for rows in groups:
            sources = prepared if len(rows) == 1 else prepared.repeat(len(rows))
            yield rows, sources, painter.condition(sources, code[rows], centre[rows], lenders=lenders)

    def pictures(made: Iterable[tuple[list[int], Prepared, Condition]]) -> Iterator[tuple[int, np.ndarray]]:
        for rows, sources, condition in made:
            painted = painter.paint_under(condition, sources, code[rows], sampling, on_call=on_call)
            yield from zip(rows, to_uint8(painted.pictures.cpu().numpy(), -1, 1))

    with stages(2) as several:
        yield from ahead(pictures(ahead(conditions()))) if several else pictures(conditions())


def network_calls(rig: Rig, frames: int, sampling: Sampling) -> int:
    """How often ``on_call`` will count a picture while ``frames`` frames are drawn."""
    return frames * rig.calls(sampling) + (rig.inversion_calls(sampling) if frames else 0)


def clip_jitter(rig: Rig, code: FaceCode, centre: Tensor, frames: FrameFolder, batch_size: int = 8) -> dict[str, Any]:
    """``Jitter``'s figures of the drawn ``frames`` against the buffers of ``code``, over ``flicker.stretches`` of the clip."""
    jitter = Jitter()
    for stretch in stretches(len(code)):
        jitter.cut()
        for start in range(stretch.start, stretch.stop, batch_size):
            rows = list(range(start, min(start + batch_size, stretch.stop)))
            buffers = rig.buffers(code[rows], centre[rows])
            for place, row in enumerate(rows):
                jitter.add(torch.from_numpy(frames.read(row).copy()).permute(2, 0, 1), buffers[place])
    return jitter.figures()


def drawn_flicker(rig: Rig, code: FaceCode, centre: Tensor, frames: FrameFolder) -> float | None:
    """``Flicker``'s level of the drawn ``frames`` of ``code``, over the same stretches."""
    flicker = Flicker(rig.head, rig.size)
    for stretch in stretches(len(code)):
        flicker.add([frames.read(row) for row in stretch], code[list(stretch)], centre[list(stretch)])
    return flicker.level
