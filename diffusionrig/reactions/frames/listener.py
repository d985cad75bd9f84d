"""Who listens: one photograph, a record of a store, or a frame of a clip, captured once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from diffusionrig.data.dataset import FaceStoreDataset
from diffusionrig.editing.analysis import Analysis
from diffusionrig.editing.capturing import Capturing
from diffusionrig.editing.conditions import REFERENCE
from diffusionrig.editing.photographs import find_faces
from diffusionrig.editing.rig import Rig
from diffusionrig.editing.sides import chosen_face, without_profiles
from diffusionrig.errors import RigError, UsageError
from diffusionrig.faces.backends import make_finder
from diffusionrig.geometry.alignment import ffhq_centre
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.io.clip_frames import ClipFrames
from diffusionrig.io.lmdb_files import is_store
from diffusionrig.io.resize import resize_square

SEARCHED = 25
"""Frames of a clip in which the listener's face is looked for."""

NEUTRAL_SCALE, NEUTRAL_HEIGHT = 8.0, 0.03
"""Camera (1/metre, metres) that shows the mean head as an aligned photograph shows a face."""


@dataclasses.dataclass(frozen=True)
class Listener:
    """``image`` (H, W, 3) uint8, None for nobody in particular; ``code`` (batch 1); FFHQ ``centre`` (1, 3), metres; ``name``.

    ``analysis`` is what a Rig draws from; None for nobody, of whom only meshes can be drawn. ``frame`` counts within a clip.
    """

    image: np.ndarray | None
    code: FaceCode
    centre: Tensor
    name: str
    analysis: Analysis | None = None
    frame: int = 0


def nobody(head: HeadModel, device: torch.device | str = "cpu") -> Listener:
    """The mean ``head``, which is on ``device``, looking straight ahead, evenly lit."""
    code = FaceCode(shape=torch.zeros(1, head.n_shape), albedo=torch.zeros(1, head.n_albedo),
                    expression=torch.zeros(1, head.n_expression), pose=torch.zeros(1, 6),
                    camera=torch.tensor([[NEUTRAL_SCALE, 0.0, NEUTRAL_HEIGHT]]), light=torch.zeros(1, 9, 3), head=head.name)
    code.light[:, 0] = 1 / 0.282095
    code = code.to(device)
    return Listener(None, code, head_centre(head, code), "mean head")


def head_centre(head: HeadModel, code: FaceCode) -> Tensor:
    """The FFHQ centre (B, 3) of ``code``, metres."""
    with torch.inference_mode():
        return ffhq_centre(head.landmarks(head.vertices(code), code)).clone()


def _seen(image: np.ndarray, analysis: Analysis, name: str) -> Listener:
    return Listener(image, analysis.code, analysis.centre, name, analysis)


def find_listener(place: str, seeing: Rig | Capturing, record: int = 0, max_megapixels: float = 100.0,
                  fps: float | None = None, aligned: bool = False) -> Listener:
    """The listener at ``place``: a photograph, a store of faces (its record number ``record``), a video, or a folder of frames,
    of which the first that shows a face is taken; ``fps`` is the rate at which a video's frames are counted (None: its own).

    Pictures are looked at, as ``edit`` does, whether they are aligned faces or photographs whose largest face is to be cut out;
    where they are ``aligned``, as a corpus has them, they are taken as they are. UsageError when there is nothing, RigError when no
    face is found.
    """
    if is_store(place):
        return _stored(place, seeing, record)
    clip = ClipFrames(place, max_megapixels, fps)
    return in_frames(clip, seeing, place, aligned)


def in_frames(frames: Sequence[np.ndarray] | ClipFrames | Iterator[np.ndarray], seeing: Rig | Capturing, name: str,
              aligned: bool = False) -> Listener:
    """The listener in the first of ``frames`` that shows a face; ``name`` is what error sentences call them."""
    note = ""
    finder = None if aligned else make_finder()
    carried = isinstance(seeing, Rig) and seeing.pretrained.condition == REFERENCE
    for number, image in enumerate(islice(frames, SEARCHED)):
        try:
            if finder is not None:
                image, _ = chosen_face(image, Path(name), find_faces(image, finder), seeing.size)
            analysis = seeing.capture(image)
            analysis = without_profiles(analysis) if carried else analysis
        except RigError as error:
            note = f"{error}."
            continue
        if bool(analysis.found[0]):
            return dataclasses.replace(_seen(image, analysis, name if number == 0 else f"{name}#{number}"), frame=number)
        note = analysis.notes[0]
    raise RigError(f"No face of the listener was found in {name}{f': {note}' if note else ''}; give another picture of them.")


def _stored(place: str, seeing: Rig | Capturing, record: int) -> Listener:
    store = FaceStoreDataset(place, head=seeing.head)
    if not store.has_codes:
        raise UsageError(f"{place} is a published store without face codes; name a photograph as --listener.")
    if not 0 <= record < len(store):
        raise UsageError(f"The store {place} holds {len(store)} faces; --listener_record {record} is not among 0 to "
                         f"{len(store) - 1}.")
    sample = store.item(record)
    assert sample.code is not None
    image = sample.image.permute(1, 2, 0).numpy()
    small = torch.from_numpy(resize_square(image, seeing.size).copy())[None]
    return _seen(image, seeing.analyse(small, sample.code), f"{place} record {record}")
