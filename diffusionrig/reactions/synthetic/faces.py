"""Frames of a synthetic participant: their own head, light and backdrop, moved by the coefficients."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from diffusionrig.data.synthetic.backdrop import sample_backdrop
from diffusionrig.data.synthetic.framing import framing_camera
from diffusionrig.data.synthetic.people import Person, sample_person
from diffusionrig.data.synthetic.photographs import render_photographs
from diffusionrig.data.synthetic.scenes import Scene, sample_scene
from diffusionrig.geometry.alignment import ffhq_centre
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.heads import load_head
from diffusionrig.io.sheets import to_uint8
from diffusionrig.reactions.corpus.attributes import N_COEFFICIENTS
from diffusionrig.reactions.frames.codes import Neutral, reaction_codes
from diffusionrig.reactions.synthetic.observables import DISTANCE
from diffusionrig.reactions.synthetic.people import Participant
from diffusionrig.render.physical import render_buffers

_BATCH = 16


@dataclasses.dataclass(frozen=True, eq=False)
class Sitter:
    """How a participant is photographed: ``person`` and ``scene`` (at rest, looking into the camera), the code of the scene and
    its centre."""

    person: Person
    scene: Scene

    @property
    def code(self) -> FaceCode:
        return self.scene.code

    @property
    def centre(self) -> Tensor:
        return self.scene.centre


def at_rest() -> Neutral:
    """The coefficients of a synthetic face that does nothing: there is no expression in them, unlike in a captured corpus."""
    row = np.zeros(N_COEFFICIENTS)
    row[52], row[57] = np.pi, DISTANCE
    return Neutral("none", row)


def sit(participant: Participant) -> Sitter:
    """The participant's appearance; always the same for the same participant."""
    return _sit(participant.look)


@lru_cache(maxsize=4)
def _sit(look: int) -> Sitter:
    head = load_head()
    person = sample_person(look, 0, head)
    scene = sample_scene(person, look, 0, head, yaw_limit=0.0, neutral=True)
    code = scene.code.replace(pose=torch.zeros(1, 6))
    with torch.inference_mode():
        landmarks = head.landmarks(head.vertices(code), code)
        camera = framing_camera(landmarks, torch.ones(1), torch.zeros(1, 2))
        centre = ffhq_centre(landmarks)
    return Sitter(person, dataclasses.replace(scene, code=code.replace(camera=camera.clone()), centre=centre.clone()))


def draw_faces(participant: Participant, coefficients: np.ndarray, size: int, look: str) -> Iterator[np.ndarray]:
    """One picture (size, size, 3) uint8 per row of ``coefficients`` (T, 58).

    ``look``: ``buffers``, the shaded head before the participant's backdrop; ``photographs``, as ``diffusionrig synth`` makes.
    """
    head, sitter = load_head(), sit(participant)
    codes, centres = reaction_codes(coefficients, at_rest(), sitter.code, sitter.centre, head)
    if look == "photographs":
        for code, centre in zip(codes, centres):
            scene = dataclasses.replace(sitter.scene, code=code, centre=centre[None])
            yield render_photographs([sitter.person], [scene], head, size)[0]
        return
    backdrop = sample_backdrop(np.random.default_rng(sitter.scene.backdrop_seed), size).astype(np.float32)
    behind = torch.from_numpy(backdrop).permute(2, 0, 1)
    for start in range(0, len(codes), _BATCH):
        yield from _shaded(codes[range(start, min(start + _BATCH, len(codes)))], centres[start:start + _BATCH], head, size, behind)


@torch.inference_mode()
def _shaded(codes: FaceCode, centres: Tensor, head: HeadModel, size: int, behind: Tensor) -> np.ndarray:
    # Drawn at twice the size: the edges of a small picture would crawl from frame to frame.
    buffers = render_buffers(head, codes, 2 * size, centre=centres)
    halves = [torch.nn.functional.avg_pool2d(part, 2) for part in (buffers.rendered.clamp(0, 1), buffers.alpha)]
    return to_uint8((halves[0] + (1 - halves[1]) * behind).numpy())
