"""What is asked of a rig, and what it gives."""

from __future__ import annotations

import dataclasses

import numpy as np

from diffusionrig.editing.controls import Edit
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.render.buffers import PhysicalBuffers
from diffusionrig.render.carrying import Carried


@dataclasses.dataclass(frozen=True)
class Request:
    """One output: face ``source`` of the sources, ``target`` of the targets (None without one), and the edit. ``steady`` keeps the
    skull where it is, as a photograph around it wants; else the FFHQ centre stays, as published, which a jaw that opens moves."""

    source: int
    target: int | None
    edit: Edit
    steady: bool = False


@dataclasses.dataclass
class Result:
    """One edited face: ``image`` (S, S, 3) uint8, and the ``buffers`` and ``code`` (batch 1) it was drawn from; under the reference
    condition also the ``carried`` photograph (batch 1) and, with an album, the ``lenders`` of what that lacked, by name."""

    image: np.ndarray
    buffers: PhysicalBuffers
    code: FaceCode
    request: Request
    carried: Carried | None = None
    lenders: list[str] = dataclasses.field(default_factory=list)
