"""Frames of a live listener, written as they are made: their own model's pictures, or meshes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from diffusionrig.editing.capturing import Capturing
from diffusionrig.editing.clip_drawing import draw_clip
from diffusionrig.editing.provenance import write_edited
from diffusionrig.editing.rig import Rig
from diffusionrig.editing.sampling import Sampling
from diffusionrig.errors import UsageError
from diffusionrig.io.files import make_folder
from diffusionrig.io.images import find_images, write_png
from diffusionrig.io.sheets import to_uint8
from diffusionrig.reactions.frames.codes import neutral_of, reaction_codes
from diffusionrig.reactions.frames.listener import Listener
from diffusionrig.render.preview import render_shape


class LiveFrames:
    """``frame_{t}.png`` in a folder that holds no pictures yet. Calling it draws a patch."""

    def __init__(self, folder: str | Path, seeing: Rig | Capturing, listener: Listener, mean_face: np.ndarray,
                 sampling: Sampling, size: int = 256) -> None:
        """``mean_face`` (58,) is the listener at rest; ``size`` is the side of meshes. What a Rig draws from is prepared here, not
        while the speaker waits."""
        self.folder = make_folder(folder)
        if find_images(self.folder, recursive=False):
            raise UsageError(f"{self.folder} holds pictures already; choose another --frames_dir.")
        self.head, self.listener, self.sampling, self.size = seeing.head, listener, sampling, size
        self._mean_face = mean_face
        self._rig, self._source = None, None
        if isinstance(seeing, Rig) and listener.analysis is not None:
            self._rig, self._source = seeing, seeing.painter.prepare(listener.analysis, sampling)

    def __call__(self, first: int, coefficients: np.ndarray) -> None:
        """Draw coefficients (patch, 58) as the frames from ``first`` on."""
        neutral = neutral_of("mean", coefficients, self._mean_face)
        code, centre = reaction_codes(coefficients, neutral, self.listener.code, self.listener.centre, self.head)
        rows = list(range(len(coefficients)))
        if self._rig is not None and self._source is not None:
            for row, image in draw_clip(self._rig, self._source, code, centre, rows, self.sampling, len(rows)):
                write_edited(self._path(first + row), image, model_hash=self._rig.pretrained.hash, mode="reaction",
                             seed=self.sampling.seed, frame=first + row)
            return
        with torch.inference_mode():
            shown = to_uint8(render_shape(self.head, code, self.size, centre).cpu().numpy())
        for row, image in zip(rows, shown):
            write_png(self._path(first + row), image)

    def _path(self, frame: int) -> Path:
        return self.folder / f"frame_{frame}.png"
