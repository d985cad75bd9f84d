"""Who listens: one photograph, a record of a store, or a frame of a clip, captured once."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from diffusionrig.capture.encoder import Encoder
from diffusionrig.capture.registry import best_encoder, make_encoder
from diffusionrig.data.dataset import FaceStoreDataset
from diffusionrig.devices import resolve_device
from diffusionrig.editing.rig import Analysis, Rig
from diffusionrig.errors import RigError, UsageError
from diffusionrig.geometry.alignment import ffhq_centre
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.heads import DEFAULT_HEAD, load_head
from diffusionrig.io.clip_frames import ClipFrames
from diffusionrig.io.lmdb_files import DATA_FILE
from diffusionrig.io.resize import resize_square

SEARCHED = 25
"""Frames of a clip in which the listener's face is looked for."""

NEUTRAL_SCALE, NEUTRAL_HEIGHT = 8.0, 0.03
"""Camera (1/metre, metres) that shows the mean head as an aligned photograph shows a face."""


@dataclasses.dataclass(frozen=True)
class Listener:
    """``image`` (H, W, 3) uint8, None for nobody in particular; ``code`` (batch 1); FFHQ ``centre`` (1, 3), metres; ``name``.

    ``analysis`` is what a Rig draws from; None when only meshes are to be drawn. ``frame`` counts within a clip.
    """

    image: np.ndarray | None
    code: FaceCode
    centre: Tensor
    name: str
    analysis: Analysis | None = None
    frame: int = 0


class Studio(Protocol):
    """What can look at a listener: a Rig, or ``MeshStudio`` where there is no model."""

    head: HeadModel

    def look(self, image: np.ndarray) -> tuple[Listener | None, str]:
        """The listener in a picture, or None and one sentence."""
        ...

    def known(self, image: np.ndarray, code: FaceCode, name: str) -> Listener:
        """A listener whose code is known."""
        ...


class MeshStudio:
    """Captures listeners without a model; ``encoder`` by its name, the best one by default."""

    def __init__(self, encoder: str | None = None, device: str = "auto") -> None:
        chosen = resolve_device(device)
        self.head: HeadModel = copy.deepcopy(load_head(DEFAULT_HEAD)).to(chosen)
        self._name, self._device = encoder or best_encoder(DEFAULT_HEAD), chosen
        self._encoder: Encoder | None = None

    def look(self, image: np.ndarray) -> tuple[Listener | None, str]:
        self._encoder = self._encoder or make_encoder(self._name, self.head, self._device)
        captured = self._encoder.encode([resize_square(image)])
        if not bool(captured.found[0]):
            return None, captured.notes[0]
        return self.known(image, captured.code, ""), ""

    def known(self, image: np.ndarray | None, code: FaceCode, name: str) -> Listener:
        return Listener(image, code, head_centre(self.head, code), name)

    def nobody(self) -> Listener:
        """The mean head, looking straight ahead, evenly lit."""
        code = FaceCode(shape=torch.zeros(1, self.head.n_shape), albedo=torch.zeros(1, self.head.n_albedo),
                        expression=torch.zeros(1, self.head.n_expression), pose=torch.zeros(1, 6),
                        camera=torch.tensor([[NEUTRAL_SCALE, 0.0, NEUTRAL_HEIGHT]]), light=torch.zeros(1, 9, 3),
                        head=self.head.name)
        code.light[:, 0] = 1 / 0.282095
        return self.known(None, code.to(self._device), "mean head")


class RigStudio:
    """Captures listeners as a Rig's own encoder sees them."""

    def __init__(self, rig: Rig) -> None:
        self.rig, self.head = rig, rig.head

    def look(self, image: np.ndarray) -> tuple[Listener | None, str]:
        analysis = self.rig.capture(image)
        if not bool(analysis.found[0]):
            return None, analysis.notes[0]
        return Listener(image, analysis.code, analysis.centre, "", analysis), ""

    def known(self, image: np.ndarray, code: FaceCode, name: str) -> Listener:
        small = torch.from_numpy(resize_square(image, self.rig.size).copy())[None]
        analysis = self.rig.analyse(small, code)
        return Listener(image, analysis.code, analysis.centre, name, analysis)


def head_centre(head: HeadModel, code: FaceCode) -> Tensor:
    """The FFHQ centre (B, 3) of ``code``, metres."""
    with torch.inference_mode():
        return ffhq_centre(head.landmarks(head.vertices(code), code)).clone()


def is_store(place: str) -> bool:
    """Whether ``place`` is a store of faces."""
    return (Path(place) / DATA_FILE).is_file()


def find_listener(place: str, studio: Studio, record: int = 0, max_megapixels: float = 100.0) -> Listener:
    """The listener at ``place``: a photograph, a store of faces (its record number ``record``), a video, or a folder of frames,
    of which the first that shows a face is taken. UsageError when there is nothing, RigError when no face is found."""
    if is_store(place):
        return _stored(place, studio, record)
    clip = ClipFrames(place, max_megapixels)
    return in_frames(clip, studio, place)


def in_frames(frames: Sequence[np.ndarray] | ClipFrames | Iterator[np.ndarray], studio: Studio, name: str) -> Listener:
    """The listener in the first of ``frames`` that shows a face; ``name`` is what error sentences call them."""
    note = ""
    for number, image in enumerate(islice(frames, SEARCHED)):
        found, note = studio.look(image)
        if found is not None:
            return dataclasses.replace(found, name=name if number == 0 else f"{name}#{number}", frame=number)
    raise RigError(f"No face of the listener was found in {name}{f': {note}' if note else ''}; give another picture of them.")


def _stored(place: str, studio: Studio, record: int) -> Listener:
    store = FaceStoreDataset(place, head=studio.head)
    if not store.has_codes:
        raise UsageError(f"{place} is a published store without face codes; name a photograph as --listener.")
    if not 0 <= record < len(store):
        raise UsageError(f"The store {place} holds {len(store)} faces; --listener_record {record} is not among 0 to "
                         f"{len(store) - 1}.")
    sample = store.item(record)
    assert sample.code is not None
    return studio.known(sample.image.permute(1, 2, 0).numpy(), sample.code, f"{place} record {record}")
