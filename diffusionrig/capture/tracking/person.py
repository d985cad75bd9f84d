"""Who is in a clip: identity and skin from several frames at once, and whether another shot shows the same person."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from diffusionrig.capture.fit.encoder import FitEncoder
from diffusionrig.capture.identity.fit_identity import FitIdentity
from diffusionrig.capture.tracking.portraits import Gallery, Portrait
from diffusionrig.faces.face import Face
from diffusionrig.geometry.face_code import FaceCode

PORTRAITS = 6
"""Frames that say who it is."""

LEAST_WORTH = 0.4
"""Of the best frame's worth, below which another is not asked."""

SAME, SAME_PLACE = 0.55, 0.45
"""Cosine of the embeddings from which a face is the person: anywhere, and where the person was a moment ago. Single frames of
19 public clips: 98 of 100 pairs of one person are above the first, 8 of 100 of two people; several frames at once
tell better."""

OUTLYING = 1.0
"""Root mean square distance of coefficients from the common ones at which a frame's say is halved."""


@dataclasses.dataclass(frozen=True)
class Person:
    """shape (1, n_shape), albedo (1, n_albedo) as in FaceCode; ``share`` 0..1, how likely the clip was photographed rather than
    drawn; ``colour_error`` (1,) of the captures; ``captured`` codes (batch 1) of the frames that tell, by number."""

    shape: Tensor
    albedo: Tensor
    share: Tensor
    colour_error: Tensor
    captured: dict[int, FaceCode]


@dataclasses.dataclass(frozen=True)
class Captured:
    """One portrait by itself: its ``code`` (batch 1), ``colour_error`` (1,), ``share`` (1,) as in ``Person``, and the portrait's
    ``worth`` and ``number``."""

    code: FaceCode
    colour_error: Tensor
    share: Tensor
    worth: float
    number: int


@torch.no_grad()
def capture_portrait(encoder: FitEncoder, shown: Portrait) -> Captured:
    """A ``portrait`` as a photograph of its own."""
    fit = encoder.fit([shown.image], [shown.face])
    return Captured(fit.code, fit.colour_error, _share(encoder, shown.face), shown.worth, shown.number)


def find_person(encoder: FitEncoder, portraits: Sequence[Portrait]) -> Person:
    """Capture the ``portraits`` one by one and take what they agree on."""
    return person_of([capture_portrait(encoder, one) for one in portraits])


@torch.no_grad()
def person_of(captures: Sequence[Captured]) -> Person:
    """What ``captures`` of one person agree on: the geometric median, weighted by confidence."""
    stacked = {name: torch.cat([getattr(one.code, name) for one in captures]).double() for name in ("shape", "albedo")}
    trust = torch.cat([one.code.confidence for one in captures]).double().clamp_min(1e-3) ** 2
    trust = trust * torch.tensor([one.worth for one in captures]).to(trust)
    middle = {name: median_row(values, trust)[None].float() for name, values in stacked.items()}
    errors = torch.cat([one.colour_error for one in captures]).double()
    return Person(middle["shape"], middle["albedo"], torch.cat([one.share for one in captures]).median()[None],
                  errors.median()[None].float(), {one.number: one.code for one in captures})


def _share(encoder: FitEncoder, face: Face) -> Tensor:
    from diffusionrig.capture.tracking.frame_fit import seen_face

    target, seen, _ = seen_face(face, encoder.device)
    return encoder.photographed(target, seen)


def median_row(rows: Tensor, weight: Tensor, iterations: int = 20) -> Tensor:
    """(D,): the point whose weighted distances from ``rows`` (K, D) are least (Weiszfeld 1937), distances under OUTLYING counting
    as squares, so that rows that agree are averaged."""
    if len(rows) == 1:
        return rows[0]
    middle = (weight[:, None] * rows).sum(0) / weight.sum()
    for _ in range(iterations):
        apart = (rows - middle).square().mean(1).sqrt()
        pull = weight / apart.clamp_min(OUTLYING)
        middle = (pull[:, None] * rows).sum(0) / pull.sum()
    return middle


class Recogniser:
    """Says whether faces are the person of the first shot, whose frames ``known`` collects. The embedding is made when it is first
    asked."""

    def __init__(self, encoder: FitEncoder, known: Gallery) -> None:
        self._encoder, self._known = encoder, known
        self._identity: FitIdentity | None = None
        self._reference: tuple[tuple[int, ...], Tensor] = ((), torch.zeros(0))

    def likeness(self, portraits: Sequence[Portrait]) -> float:
        """Cosine between what ``portraits`` and the known frames agree on."""
        self._identity = self._identity or FitIdentity(self._encoder.device, self._encoder)
        shown = self._known.best(3)
        key = tuple(one.number for one in shown)
        if self._reference[0] != key:
            self._reference = key, self._mean(shown)
        return float(self._reference[1] @ self._mean(portraits))

    def _mean(self, portraits: Sequence[Portrait]) -> Tensor:
        assert self._identity is not None
        rows = self._identity.embed_faces([one.image for one in portraits], [one.face for one in portraits])
        return torch.nn.functional.normalize(rows.mean(0), dim=0)


def nearest_first(faces: Sequence[Face], last: np.ndarray | None) -> list[Face]:
    """Faces by how far their boxes' middles lie from that of the box ``last`` (4,), in its sizes; the largest first without one."""
    if last is None:
        return sorted(faces, key=lambda face: -face.size)
    middle, size = (last[:2] + last[2:]) / 2, max(float((last[2:] - last[:2]).max()), 1e-6)
    return sorted(faces, key=lambda face: (float(np.hypot(*((face.box[:2] + face.box[2:]) / 2 - middle)) / size), -face.size))
