"""Frames of a live listener, written as they are made: their own model's pictures, or meshes; drawn by the code of ``edit``."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from diffusionrig.editing.capturing import Capturing
from diffusionrig.editing.live_figures import Summary
from diffusionrig.editing.provenance import write_edited
from diffusionrig.editing.rig import Rig
from diffusionrig.editing.sampling import Sampling
from diffusionrig.editing.smoothing import OneEuro, Smoothing
from diffusionrig.errors import UsageError
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.io.files import make_folder
from diffusionrig.io.images import find_images, write_png
from diffusionrig.io.sheets import to_uint8
from diffusionrig.reactions.frames.codes import neutral_of, reaction_codes
from diffusionrig.reactions.frames.listener import Listener
from diffusionrig.reactions.live.pacing import Due, Pacer
from diffusionrig.render.preview import render_shape

ROOM = 64
"""Frames that may wait, more than any generator answers at once."""


class LiveFrames:
    """``frame_{t}.png`` in a folder that holds no pictures yet. Calling it hands over a patch, which a thread of its own draws.

    Frame t is due t / fps after the first patch came. Frames that cannot be drawn in time are passed over, and have no file.
    """

    def __init__(self, folder: str | Path, seeing: Rig | Capturing, listener: Listener, mean_face: np.ndarray,
                 sampling: Sampling, size: int = 256, fps: float = 25.0, patient: bool = False,
                 smoothing: Smoothing | None = None) -> None:
        """``mean_face`` (58,) is the listener at rest; ``size`` is the side of meshes; ``patient`` draws every frame, however late;
        ``smoothing`` is of what is drawn. What a Rig draws from is prepared here, not while the speaker waits."""
        self.folder = make_folder(folder)
        if find_images(self.folder, recursive=False):
            raise UsageError(f"{self.folder} holds pictures already; choose another --frames_dir.")
        self.head, self.listener, self.sampling, self.size, self._fps = seeing.head, listener, sampling, size, fps
        self._mean_face, self._smooth = mean_face, OneEuro(fps, smoothing or Smoothing())
        self._rig, self._source, self._lenders = None, None, None
        if isinstance(seeing, Rig) and listener.analysis is not None:
            self._rig, self._source = seeing, seeing.painter.prepare(listener.analysis, sampling)
            self._lenders = seeing.painter.usual_lenders(self._source)
            # Kernels are chosen and memory is laid out the first time, while nobody waits yet.
            seeing.painter.paint(self._source, listener.code, listener.centre, sampling, lenders=self._lenders)
        self._start: float | None = None
        self._pacer: Pacer[tuple[int, FaceCode, Tensor]] = Pacer(self._draw, ROOM, patient)

    def __call__(self, first: int, coefficients: np.ndarray) -> None:
        """Hand over coefficients (patch, 58) as the frames from ``first`` on."""
        self._start = time.perf_counter() if self._start is None else self._start
        neutral = neutral_of("mean", coefficients, self._mean_face)
        calm = np.stack([self._smooth(row) for row in coefficients])
        code, centre = reaction_codes(calm, neutral, self.listener.code, self.listener.centre, self.head)
        for row in range(len(coefficients)):
            self._pacer.offer(Due((first + row, code[row], centre[row:row + 1]), self._start + (first + row) / self._fps))

    def finish(self) -> Summary:
        """Returns when what was handed over is drawn, or too late to be; how it went."""
        return self._pacer.finish()

    def _draw(self, item: tuple[int, FaceCode, Tensor]) -> None:
        frame, code, centre = item
        path = self.folder / f"frame_{frame}.png"
        if self._rig is not None and self._source is not None:
            painted = self._rig.painter.paint(self._source, code, centre, self.sampling, lenders=self._lenders)
            write_edited(path, to_uint8(painted.pictures.cpu().numpy(), -1, 1)[0], model_hash=self._rig.pretrained.hash,
                         mode="reaction", seed=self.sampling.seed, frame=frame)
            return
        with torch.inference_mode():
            shown = to_uint8(render_shape(self.head, code, self.size, centre).cpu().numpy())
        write_png(path, shown[0])
