"""Which of several faces is the person, where a face was lost or the picture cut: others are left alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from diffusionrig.capture.tracking.person import SAME_PLACE, Recogniser, nearest_first
from diffusionrig.capture.tracking.portraits import portrait
from diffusionrig.faces.detector import overlap
from diffusionrig.faces.face import Face
from diffusionrig.faces.landmarker import SAME_FACE

ASKED = 1.0
"""Seconds after which it is asked again whether somebody else is somebody else."""

MOST_FACES = 3
"""Faces of one picture, the nearest to the person's last place, of which it is asked who they are."""


@dataclasses.dataclass
class _Stranger:
    """Where somebody else was last, and in which frame it was ``asked`` who that is."""

    box: np.ndarray
    asked: int


class Acquaintance:
    """Chooses with ``recogniser``; people found to be somebody else are remembered, and not asked in every frame."""

    def __init__(self, recogniser: Recogniser, fps: float) -> None:
        self._recogniser, self._again = recogniser, max(1, round(ASKED * fps))
        self._known: list[_Stranger] = []

    def choose(self, image: np.ndarray, faces: Sequence[Face], last: np.ndarray | None, number: int,
               least: float = SAME_PLACE) -> tuple[Face | None, bool]:
        """The face of frame ``number`` that is most like the person and at least by ``least``, None where all are somebody else;
        and whether somebody was met who had not been seen before. ``last`` is the box (4,) of the person's last face."""
        best: tuple[float, Face | None] = (0.0, None)
        met = False
        for face in nearest_first(faces, last)[:MOST_FACES]:
            known = self._of(face.box)
            if known is not None and number - known.asked < self._again:
                known.box = face.box
                continue
            likeness = self._recogniser.likeness([portrait(image, face, -1)])
            if likeness < least:
                met |= self._put(face.box, number)
            elif likeness > best[0]:
                best = likeness, face
        return best[1], met

    def _of(self, box: np.ndarray) -> _Stranger | None:
        """The one who was last about where ``box`` (4,) is."""
        return next((one for one in reversed(self._known) if overlap(box, one.box[None])[0] > SAME_FACE), None)

    def _put(self, box: np.ndarray, number: int) -> bool:
        """Note one seen in frame ``number``; whether that is a new one."""
        known = self._of(box)
        if known is None:
            self._known = [*self._known[-MOST_FACES:], _Stranger(box, number)]
        else:
            known.box, known.asked = box, number
        return known is None
