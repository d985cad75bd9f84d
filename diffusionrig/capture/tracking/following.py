"""Where the face of one person is in each frame of a clip: from the frame before where it goes on, else sought anew.

A face that is lost, or a picture that changes as only a cut changes it, ends a shot. The first face of the next one is taken by
where it stands and, among several, by who it is (``Chooser``); whether it is still the same person is asked once for the whole
shot.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from diffusionrig.capture.fit.finding import find_face
from diffusionrig.faces.detector import overlap
from diffusionrig.faces.face import Face
from diffusionrig.faces.landmarker import MIN_SCORE, SAME_FACE, FaceLandmarker
from diffusionrig.faces.mesh import cut, region_of_points

CHECKED = 0.4
"""Seconds between two looks of the detector at a face that is followed; and, of a lost one, between two thorough searches."""

UNSURE = 0.9
"""Presence below which the detector looks at once."""

DRIFTED = 0.35
"""The detector's score below which what is followed is no face any more."""

STEADY = (33, 133, 362, 263, 168, 6, 197, 195, 5, 4, 127, 356, 234, 454, 10, 151, 9, 8, 98, 327)
"""Landmarks that expressions hardly move: corners of the eyes, nose, temples, forehead."""

OTHER_SHAPE = 0.035
"""Distance of these points from those of the frame before, turned and scaled onto them, in distances of the eyes: of one head less
from frame to frame (at most .026 in public clips, quick turns among them), of another mostly more."""

OTHER_FACE = 0.75
"""Correlation of levelled views of the face in successive frames: of one face more (at least .86 there)."""

THUMB = 24
CUT = 0.5
"""Correlation of two pictures, reduced to THUMB pixels, below which they are taken in different places."""

NEAR = 0.2
"""Overlap with the last box (intersection over union) from which a face that was lost is where it was."""

Chooser = Callable[[np.ndarray, Sequence[Face]], Face | None]
"""Which of several faces of a picture is the person; None when none may be."""


@dataclasses.dataclass(frozen=True)
class Sighting:
    """The face in frame ``number``; ``shot`` counts from 0 how often the clip was begun anew, and ``near`` says of a shot's first
    face that it came back, after being lost without a cut, where the last one was."""

    number: int
    face: Face
    shot: int
    near: bool = False


class Follower:
    """Give it the frames one after the other; each answers with a sighting or None. Nothing depends on later frames."""

    def __init__(self, landmarker: FaceLandmarker, fps: float, choose: Chooser) -> None:
        self._landmarker, self._choose = landmarker, choose
        self._every = max(1, round(CHECKED * fps))
        self._number = self._shot = -1
        self._last: Face | None = None
        self._lost = 0
        self._thumb: np.ndarray | None = None
        self._view: np.ndarray | None = None

    def __call__(self, image: np.ndarray) -> Sighting | None:
        self._number += 1
        thumb = thumbnail(image)
        changed = self._thumb is not None and alike(self._thumb, thumb) < CUT
        self._thumb = thumb
        if self._last is not None and not self._lost and not changed:
            face = self._followed(image, self._last)
            if face is not None:
                self._last = face
                return Sighting(self._number, face, self._shot)
        before, there = self._last, self._lost > 0 and not changed
        face = self._sought(image)
        self._lost = 0 if face is not None else self._lost + 1
        if face is None:
            return None
        near = before is not None and there and bool(overlap(before.box, face.box[None])[0] > NEAR)
        self._last, self._shot, self._view = face, self._shot + 1, face_thumbnail(image, face)
        return Sighting(self._number, face, self._shot, near)

    def _followed(self, image: np.ndarray, last: Face) -> Face | None:
        checked = self._number % self._every == 0
        face = self._landmarker.follow(image, last, checked)
        if face is None:
            return None
        if not checked and face.presence < UNSURE:
            face = self._landmarker.follow(image, face, True)
        if face is None or face.score < DRIFTED or shape_change(last, face) > OTHER_SHAPE:
            return None
        view, before = face_thumbnail(image, face), self._view
        self._view = view
        return face if before is None or alike(before, view) > OTHER_FACE else None

    def _sought(self, image: np.ndarray) -> Face | None:
        if self._last is None:
            return find_face(image, self._landmarker)
        # A face of a known size is sought with few looks; now and then as thoroughly as the first.
        thorough = self._lost % self._every == self._every - 1
        smallest = 40.0 if thorough else max(40.0, self._last.size / 2)
        faces = self._landmarker.detect(image, smallest, thorough, thorough)
        # Beside a larger face the detector may miss one that stands where it was.
        assert self._last.points is not None
        there = self._landmarker.landmarks(image, region_of_points(self._last.points))
        if there is not None and not any(overlap(there.box, face.box[None])[0] > SAME_FACE for face in faces):
            faces = [*faces, there]
        faces = [face for face in faces if face.score >= MIN_SCORE]
        return self._choose(image, faces) if faces else None


def shape_change(first: Face, second: Face) -> float:
    """How far the points that expressions leave alone part, laid over each other by a similarity, in distances of the eyes."""
    assert first.points is not None
    assert second.points is not None
    a, b = (face.points[list(STEADY)].astype(np.float64) for face in (first, second))  # type: ignore[index]
    a, b = a - a.mean(0), b - b.mean(0)
    left, values, right = np.linalg.svd(a.T @ b)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    scale = (values * sign).sum() / max((a * a).sum(), 1e-9)
    apart = np.sqrt(((scale * a @ (left * sign) @ right - b) ** 2).sum(1).mean())
    return float(apart / max(np.hypot(*(b[0] - b[3])[:2]), 0.5 * np.linalg.norm(b[0] - b[3]), 1e-9))


def thumbnail(image: np.ndarray) -> np.ndarray:
    """(THUMB, THUMB) grey, without its mean. Of large pictures every few pixels count."""
    step = max(1, min(image.shape[:2]) // (4 * THUMB))
    small = cv2.resize(np.ascontiguousarray(image[::step, ::step]), (THUMB, THUMB), interpolation=cv2.INTER_AREA)
    grey = small.astype(np.float32).mean(-1)
    return grey - grey.mean()


def face_thumbnail(image: np.ndarray, face: Face) -> np.ndarray:
    """The same of the levelled face."""
    assert face.points is not None
    grey = cut(image, region_of_points(face.points), THUMB).astype(np.float32).mean(-1)
    return grey - grey.mean()


def alike(first: np.ndarray, second: np.ndarray) -> float:
    """Correlation of two thumbnails; 1 of two that show nothing."""
    size = float(np.sqrt((first * first).sum() * (second * second).sum()))
    return 1.0 if size < THUMB * THUMB * 4.0 else float((first * second).sum() / size)
