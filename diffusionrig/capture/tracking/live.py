"""Tracking while the pictures come: each frame is answered from it and those before it alone.

The same follower and frame fit as in ``tracker``. Who it is is found in the first frame and told better by a few further ones as
they come; the numbers are steadied without looking ahead; a face that was lost, and a cut, begin anew.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from diffusionrig.capture.fit.encoder import FitEncoder
from diffusionrig.capture.tracking.causal import Steadier
from diffusionrig.capture.tracking.codes import codes_of, row_of, trust_of, turn_as_captured, turned_by, turning_point
from diffusionrig.capture.tracking.following import NEAR, Follower, Sighting
from diffusionrig.capture.tracking.frame_fit import FrameFit, Moment, read_brows
from diffusionrig.capture.tracking.light import EVERY, GLIMPSE, light_of
from diffusionrig.capture.tracking.person import (
    LEAST_WORTH,
    SAME,
    SAME_PLACE,
    Captured,
    Person,
    Recogniser,
    capture_portrait,
    nearest_first,
    person_of,
)
from diffusionrig.capture.tracking.portraits import Gallery, Portrait, portrait
from diffusionrig.capture.tracking.recognising import Acquaintance
from diffusionrig.faces.detector import overlap
from diffusionrig.faces.face import Face
from diffusionrig.geometry.face_code import FaceCode

PORTRAITS = 4
"""Frames that say who it is, at most: each takes as long as several frames, in which others are missed."""

APART = 1.5
"""Seconds from one of them to the next."""

LIGHT = 1.0
"""Seconds in which a new light takes over two thirds of the old one."""


@dataclasses.dataclass(frozen=True)
class Shown:
    """``code`` (batch 1, on the CPU) of a frame in which the person was seen; ``begins`` where it does not go on from the one
    before."""

    code: FaceCode
    begins: bool


class LiveTracker:
    """Give it the frames one after the other; each answers with what it shows of the person of the first face, or None.

    Of a clip it keeps a fixed amount, however long it lasts.
    """

    def __init__(self, encoder: FitEncoder, fps: float = 25.0, light: bool = True) -> None:
        """``fps`` is about how many frames come a second; without ``light`` all are lit as the first."""
        self._encoder, self._fps, self._lit_again = encoder, fps, light
        self.forget()

    def forget(self) -> None:
        """Whoever is seen next is the person."""
        self._gallery = Gallery()
        self._captures: list[tuple[Captured, Portrait]] = []
        self._acquaintance = Acquaintance(Recogniser(self._encoder, self._gallery), self._fps)
        self._follow = Follower(self._encoder.landmarker, self._fps, self._choose)
        self._steady = Steadier()
        self._person: _Known | None = None
        self._moment: Moment | None = None
        self._brows: tuple[Tensor, Tensor] | None = None
        self._light: Tensor | None = None
        self._last: Face | None = None
        self._number, self._shot = -1, -1
        self._at = self._asked = self._lit = -np.inf
        self.others = 0
        """How often somebody else was met where the person might have been."""

    @torch.no_grad()
    def __call__(self, image: np.ndarray, at: float | None = None) -> Shown | None:
        """``image`` (H, W, 3) uint8 at ``at`` seconds, which do not fall; by default one after the other at the rate."""
        self._number += 1
        at = self._number / self._fps if at is None else at
        sighting = self._follow(image)
        if sighting is None:
            return None
        face, begins = sighting.face, sighting.shot != self._shot
        if begins:
            self._shot, self._moment, self._brows = sighting.shot, None, None
            self._steady.restart()
        self._gallery.look(image, face, self._number)
        known = self._known(image, sighting, at)
        # Brows are slow, and their reader is not: every other frame is read.
        if self._brows is None or self._number % 2 == 0:
            self._brows = read_brows(self._encoder, image, face) or self._brows
        self._moment = known.fit(face, self._brows, self._moment)
        parts = known.fit.model.parts
        row = turned_by(known.turn, row_of(self._moment, face, parts["expression"], parts["eyes"])[None])
        row = self._steady(row[0], at - self._at if np.isfinite(self._at) else 0.0)[None]
        self._last, self._at = face, at
        size = np.array([[image.shape[1], image.shape[0]]], np.float32)
        light = self._lighting(image, face, known.person, at)
        trust = trust_of([face], [self._moment], known.person.colour_error)
        return Shown(codes_of(self._encoder, known.person, row, size, light, trust, known.joint), begins)

    def _choose(self, image: np.ndarray, faces: Sequence[Face]) -> Face | None:
        """The person among faces that turn up where none was followed; None where all are somebody else."""
        last = None if self._last is None else self._last.box
        if last is None or not len(self._gallery):
            return nearest_first(faces, last)[0]
        face, met = self._acquaintance.choose(image, [one for one in faces if overlap(last, one.box[None])[0] > NEAR], last,
                                              self._number, SAME_PLACE)
        if face is None:
            face, met_too = self._acquaintance.choose(image, [one for one in faces if overlap(last, one.box[None])[0] <= NEAR],
                                                      last, self._number, SAME)
            met = met or met_too
        self.others += int(met)
        return face

    def _known(self, image: np.ndarray, sighting: Sighting, at: float) -> _Known:
        """The person, as far as is known by now."""
        if self._person is not None and (len(self._captures) >= PORTRAITS or at - self._asked < APART):
            return self._person
        told = {one.number for one, _ in self._captures}
        best = self._gallery.best(PORTRAITS)
        fresh = [one for one in best if one.number not in told and one.worth >= LEAST_WORTH * best[0].worth]
        if not fresh and self._person is not None:
            return self._person
        shown = fresh[0] if fresh else portrait(image, sighting.face, self._number)
        self._captures.append((capture_portrait(self._encoder, shown), shown))
        self._asked = at
        self._person = _Known(self._encoder, self._captures)
        # The coefficients of the frame before were those of a slightly different head.
        self._moment = None
        return self._person

    def _lighting(self, image: np.ndarray, face: Face, person: Person, at: float) -> Tensor:
        """(1, 9, 3), looked for now and then."""
        assert self._moment is not None
        if self._light is None or (self._lit_again and at - self._lit >= EVERY):
            found = light_of(self._encoder, person, portrait(image, face, self._number, largest=GLIMPSE), self._moment)[None]
            share = 1.0 if self._light is None else 1 - float(np.exp(-(at - self._lit) / LIGHT))
            self._light = found if self._light is None else torch.lerp(self._light, found, share)
            self._lit = at
        return self._light


class _Known:
    """A person as ``captures`` tell, and what does not change while it is the same: the fit, the joint that the head turns about,
    and by how much whole captures turn it beyond landmarks."""

    def __init__(self, encoder: FitEncoder, captures: Sequence[tuple[Captured, Portrait]]) -> None:
        self.person = person_of([one for one, _ in captures])
        self.fit = FrameFit(encoder, self.person)
        self.joint = turning_point(encoder, self.person)
        parts = self.fit.model.parts
        rows = [row_of(self.fit(shown.face, read_brows(encoder, shown.image, shown.face)), shown.face, parts["expression"],
                       parts["eyes"]) for _, shown in captures]
        self.turn = turn_as_captured([one.code for one, _ in captures], rows)
