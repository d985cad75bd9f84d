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

ASKED = (0.0, 2.0, 5.0, 12.0)
"""Seconds after the first face at which another frame says who it is. Each takes as long as ten others, which are missed then."""

BETWEEN = 20
"""Frames with the face that lie between two of them at least, so that a slow machine sees something else, too."""

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
        self._captures: list[Captured] = []
        self._rows: list[np.ndarray] = []
        self._acquaintance = Acquaintance(Recogniser(self._encoder, self._gallery), self._fps)
        self._follow = Follower(self._encoder.landmarker, self._fps, self._choose)
        self._steady = Steadier()
        self._person: Person | None = None
        self._moment: Moment | None = None
        self._brows: tuple[Tensor, Tensor] | None = None
        self._light: Tensor | None = None
        self._last: Face | None = None
        self._number, self._shot, self._seen = -1, -1, 0
        self._at, self._since, self._lit = -np.inf, 0.0, -np.inf
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
        self._seen += 1
        if len(self._captures) < len(ASKED):
            self._gallery.look(image, face, self._number)
        person = self._known(image, sighting, at)
        # Brows are slow, and their reader is not: every other frame is read.
        if self._brows is None or self._number % 2 == 0:
            self._brows = read_brows(self._encoder, image, face) or self._brows
        self._moment = self._fit(face, self._brows, self._moment)
        row = turned_by(self._turn, self._row(self._moment, face)[None])
        row = self._steady(row[0], at - self._at if np.isfinite(self._at) else 0.0)[None]
        self._last, self._at = face, at
        size = np.array([[image.shape[1], image.shape[0]]], np.float32)
        light = self._lighting(image, face, person, at)
        trust = trust_of([face], [self._moment], person.colour_error)
        return Shown(codes_of(self._encoder, person, row, size, light, trust, self._joint), begins)

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

    def _known(self, image: np.ndarray, sighting: Sighting, at: float) -> Person:
        """The person, as far as is known by now."""
        if self._person is None:
            self._since = at
            return self._tell(portrait(image, sighting.face, self._number))
        told = len(self._captures)
        if told < len(ASKED) and at - self._since >= ASKED[told] and self._seen > told * BETWEEN:
            known, best = {one.number for one in self._captures}, self._gallery.best(len(ASKED))
            fresh = [one for one in best if one.number not in known and one.worth >= LEAST_WORTH * best[0].worth]
            if fresh:
                # The coefficients of the frame before were those of a slightly different head.
                self._moment = None
                return self._tell(fresh[0])
        return self._person

    def _tell(self, shown: Portrait) -> Person:
        """The person as one more portrait tells, and with that the fit, the joint that the head turns about, and by how much whole
        captures turn it beyond landmarks."""
        self._captures.append(capture_portrait(self._encoder, shown))
        self._person = person_of(self._captures)
        self._fit = FrameFit(self._encoder, self._person)
        self._joint = turning_point(self._encoder, self._person)
        fitted = self._fit(shown.face, read_brows(self._encoder, shown.image, shown.face))
        self._rows.append(self._row(fitted, shown.face))
        self._turn = turn_as_captured([one.code for one in self._captures], self._rows)
        return self._person

    def _row(self, moment: Moment, face: Face) -> np.ndarray:
        parts = self._fit.model.parts
        return row_of(moment, face, parts["expression"], parts["eyes"])

    def _lighting(self, image: np.ndarray, face: Face, person: Person, at: float) -> Tensor:
        """(1, 9, 3), looked for now and then."""
        assert self._moment is not None
        if self._light is None or (self._lit_again and at - self._lit >= EVERY):
            found = light_of(self._encoder, person, portrait(image, face, self._number, largest=GLIMPSE), self._moment)[None]
            share = 1.0 if self._light is None else 1 - float(np.exp(-(at - self._lit) / LIGHT))
            self._light = found if self._light is None else torch.lerp(self._light, found, share)
            self._lit = at
        return self._light
