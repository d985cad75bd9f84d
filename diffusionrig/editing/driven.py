"""One face that a clip drives: its codes frame by frame, and the video of its pictures."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from torch import Tensor

from diffusionrig.editing.analysis import Analysis
from diffusionrig.editing.controls import Edit, edited_code
from diffusionrig.editing.driving import relative_to
from diffusionrig.editing.provenance import movie_record
from diffusionrig.editing.rig import Rig
from diffusionrig.errors import UsageError
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.io.movies import write_movie
from diffusionrig.io.resize import resize_square
from diffusionrig.io.sound import Sound

LEAST_SIDE = 256
"""Videos of smaller frames are enlarged: players blur them otherwise, each in its own way."""


def require_driven(edit: Edit) -> None:
    """UsageError when a clip cannot drive what ``edit`` takes."""
    if "latent" in edit.parts:
        raise UsageError(f"The mode {edit.name!r} cannot follow a clip: its latent changes with every frame, which flickers; "
                         "use pose, exp, light, or a picture as --target.")


def driven_codes(rig: Rig, source: Analysis, driver: FaceCode, edit: Edit, relative: bool) -> tuple[FaceCode, Tensor]:
    """The code of the ``source`` (one face) in every frame of the ``driver`` (T faces), and where its centre stays (T, 3), metres.
    ``relative`` carries over what differs from the driver's first face."""
    target = relative_to(source.code, driver, driver[0], rig.head) if relative else driver
    return edited_code(source.code.repeat(len(driver)), target, edit, rig.head), source.centre.expand(len(driver), 3)


def write_driven(path: str | Path, pictures: Iterable[np.ndarray], rig: Rig, edit: Edit, seed: int, fps: float,
                 voice: Sound | None) -> int:
    """Write the drawn ``pictures`` (S, S, 3) uint8 as MP4 with sound and provenance; returns how many there were."""
    side = max(rig.size, LEAST_SIDE)
    return write_movie(path, (resize_square(image, side) for image in pictures), fps, voice,
                       movie_record(model_hash=rig.pretrained.hash, mode=edit.name, seed=seed, **edit.record()))
