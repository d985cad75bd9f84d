"""A clip of one person as face codes: who it is once, and what moves frame by frame."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from diffusionrig.capture.encoder import Encoder
from diffusionrig.capture.fit.encoder import FitEncoder
from diffusionrig.capture.tracking.codes import PLACE, codes_of, row_of, trust_of, turned_as_captured
from diffusionrig.capture.tracking.following import Follower, Sighting
from diffusionrig.capture.tracking.frame_fit import FrameFit, Moment, read_brows
from diffusionrig.capture.tracking.gaps import SEEN, runs, shown_instead, states
from diffusionrig.capture.tracking.light import EVERY, GLIMPSE, MOST, light_of, light_path
from diffusionrig.capture.tracking.person import LEAST_WORTH, PORTRAITS, SAME, SAME_PLACE, Recogniser, find_person, nearest_first
from diffusionrig.capture.tracking.portraits import Gallery, Portrait, portrait
from diffusionrig.capture.tracking.recognising import Acquaintance
from diffusionrig.capture.tracking.steadying import steadied
from diffusionrig.errors import RigError
from diffusionrig.faces.face import Face
from diffusionrig.geometry.face_code import FaceCode

TRACKS = ("auto", "off")
"""Whether clips are tracked where the encoder can, or every frame is captured as if there were no other."""


class NoFaceError(RigError):
    """No frame of a clip shows a face."""


@dataclasses.dataclass(frozen=True)
class Track:
    """T frames: ``code`` on the CPU; ``state`` (T,) of ``gaps.SEEN``, BRIDGED and HELD; ``others`` frames in which somebody who is
    not the person was first seen where the person might have been."""

    code: FaceCode
    state: np.ndarray
    others: list[int]


@dataclasses.dataclass(frozen=True)
class _Seen:
    """A sighting with what of its picture is needed later."""

    sighting: Sighting
    brows: tuple[Tensor, Tensor] | None


def tracker_of(encoder: Encoder, track: str) -> Tracker | None:
    """The tracker that ``track`` (out of TRACKS) asks for; None where every frame is to be captured by itself, as it is by other
    encoders than FIT, which do not say what their numbers rest on."""
    return Tracker(encoder) if track == "auto" and isinstance(encoder, FitEncoder) else None


class Tracker:
    """Tracks with ``encoder``. Deterministic: nothing depends on how frames are batched."""

    def __init__(self, encoder: FitEncoder) -> None:
        self._encoder = encoder

    @torch.no_grad()
    def track(self, frames: Iterable[np.ndarray], count: int, fps: float, name: str,
              on_frame: Callable[[int], None] = lambda number: None) -> Track:
        """The person of the clip's first face in all its ``frames``, about ``count``, (H, W, 3) uint8, ``fps`` a second.

        ``on_frame`` is told of each frame that was looked through. NoFaceError when no frame of the clip called ``name`` shows a
        face.
        """
        watch = _Watch(self._encoder, fps, max(EVERY * fps, count / MOST))
        for image in frames:
            watch.look(image)
            on_frame(1)
        watch.end()
        if not watch.seen:
            raise NoFaceError(f"No face was found in any frame of {name}; give a clip that shows one.")
        best = watch.gallery.best(min(PORTRAITS, 2 + len(watch.seen) // round(2 * fps + 1)))
        person = find_person(self._encoder, [one for one in best if one.worth >= LEAST_WORTH * best[0].worth])
        fit = FrameFit(self._encoder, person)
        moments = _fitted(fit, watch.seen)
        numbers = [one.sighting.number for one in watch.seen]
        faces = [one.sighting.face for one in watch.seen]
        at = dict(zip(numbers, moments))
        lit = [shown for shown in watch.glimpses if shown.number in at]
        lights = [light_of(self._encoder, person, shown, at[shown.number]) for shown in lit]
        light = light_path([shown.number for shown in lit], lights, watch.count, fps)

        found, shot = np.zeros(watch.count, bool), np.full(watch.count, -1)
        found[numbers] = True
        shot[numbers] = watch.takes()
        state = states(found, shot, fps)
        parts = fit.model.parts
        rows = np.zeros((watch.count, PLACE + parts["eyes"].stop - parts["expression"].start))
        measured = np.stack([row_of(moment, face, parts["expression"], parts["eyes"]) for moment, face in zip(moments, faces)])
        rows[numbers] = turned_as_captured(person, measured, numbers)
        for stretch in runs(state, shot):
            rows[stretch] = steadied(rows[stretch], state[stretch] == SEEN, fps)
        trust = torch.zeros(watch.count)
        trust[numbers] = trust_of(faces, moments, person.colour_error)
        shown_by = shown_instead(state)
        code = codes_of(self._encoder, person, rows[shown_by], np.array(watch.frame, np.float32)[shown_by], light[shown_by], trust)
        return Track(code, state, watch.others)


def _fitted(fit: FrameFit, seen: Sequence[_Seen]) -> list[Moment]:
    moments: list[Moment] = []
    for i, one in enumerate(seen):
        goes_on = i > 0 and seen[i - 1].sighting.shot == one.sighting.shot
        moments.append(fit(one.sighting.face, _brows(seen, i), moments[-1] if goes_on else None))
    return moments


def _brows(seen: Sequence[_Seen], place: int) -> tuple[Tensor, Tensor] | None:
    """What was read of the brows in this frame, else the mean of its neighbours in the same take."""
    own = seen[place]
    if own.brows is not None:
        return own.brows
    near = [other.brows for other in (*seen[max(0, place - 1):place], *seen[place + 1:place + 2])
            if other.brows is not None and other.sighting.shot == own.sighting.shot]
    if not near:
        return None
    return torch.stack([value for value, _ in near]).mean(0), torch.stack([spread for _, spread in near]).mean(0)


class _Watch:
    """The one pass over the pictures: sightings, the frames that tell who it is, and glimpses of the light. A take (shot) that
    shows somebody else leaves nothing."""

    def __init__(self, encoder: FitEncoder, fps: float, between: float) -> None:
        self._encoder, self._between = encoder, between
        self.gallery = Gallery()
        self._recogniser = Recogniser(encoder, self.gallery)
        self._follow = Follower(encoder.landmarker, fps, self._choose)
        self.seen: list[_Seen] = []
        self.glimpses: list[Portrait] = []
        self.others: list[int] = []
        self.frame: list[tuple[int, int]] = []
        self._take: list[_Seen] = []
        self._take_glimpses: list[Portrait] = []
        self._take_gallery = Gallery()
        self._due = 0.0
        self._acquaintance = Acquaintance(self._recogniser, fps)

    @property
    def count(self) -> int:
        return len(self.frame)

    def look(self, image: np.ndarray) -> None:
        number = len(self.frame)
        self.frame.append((image.shape[1], image.shape[0]))
        sighting = self._follow(image)
        if sighting is None:
            return
        if self._take and self._take[-1].sighting.shot != sighting.shot:
            self.end()
        # Brows are slow, and their reader is not: every other frame is read.
        reads = not self._take or self._take[-1].brows is None
        self._take.append(_Seen(sighting, read_brows(self._encoder, image, sighting.face) if reads else None))
        self._take_gallery.look(image, sighting.face, number)
        if number >= self._due:
            self._take_glimpses.append(portrait(image, sighting.face, number, largest=GLIMPSE))
            self._due = number + self._between

    def end(self) -> None:
        """A take is over: keep it if it shows the person."""
        if not self._take:
            return
        first = self._take[0].sighting
        known = len(self.gallery) == 0
        if not known:
            known = self._recogniser.likeness(self._take_gallery.best(2)) >= (SAME_PLACE if first.near else SAME)
        if known:
            self.seen += self._take
            self.glimpses += self._take_glimpses
            self.gallery.join(self._take_gallery)
        else:
            self.others.append(first.number)
        self._take, self._take_glimpses, self._take_gallery, self._due = [], [], Gallery(), 0.0

    def takes(self) -> list[int]:
        """For each sighting, which stretch without a cut it belongs to: a face that came back where it was goes on."""
        found: list[int] = []
        for i, one in enumerate(self.seen):
            begins = i == 0 or (one.sighting.shot != self.seen[i - 1].sighting.shot and not one.sighting.near)
            found.append((found[-1] if found else -1) + int(begins))
        return found

    def _choose(self, image: np.ndarray, faces: Sequence[Face]) -> Face | None:
        """The person among faces that turn up where none was followed; None where all are somebody else."""
        last = self._take[-1].sighting.face.box if self._take else self.seen[-1].sighting.face.box if self.seen else None
        self.end()
        if not len(self.gallery):
            return nearest_first(faces, last)[0]
        face, met = self._acquaintance.choose(image, faces, last, self.count - 1)
        if met:
            self.others.append(self.count - 1)
        return face
