"""Re-enactment itself: capture sources and truths, draw every edit, compare every contestant's picture with the truth."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from diffusionrig.editing.controls import Edit
from diffusionrig.editing.rig import Analysis, Request, Result, Rig
from diffusionrig.editing.sampling import Sampling
from diffusionrig.errors import RigError
from diffusionrig.evaluation.perception import Lpips
from diffusionrig.evaluation.reenactment.contestants import CONTESTANTS, Case
from diffusionrig.evaluation.reenactment.figures import Figures, Truth
from diffusionrig.evaluation.reenactment.looking import Looker
from diffusionrig.evaluation.reenactment.material import Pair
from diffusionrig.progress import Progress, track


@dataclasses.dataclass
class Reenacted:
    """One edit of one pair: the contestants' ``images`` (SIDE, SIDE, 3) uint8 and ``figures`` against the truth, by name, and
    ``lost``, the contestants on whose picture landmarks or encoder found no face."""

    mode: str
    pair: Pair
    images: dict[str, np.ndarray]
    figures: dict[str, Figures]
    lost: list[str]

    def numbers(self) -> dict[str, Any]:
        """Everything but the pictures, for JSON."""
        return {"mode": self.mode, "clip": self.pair.clip, "source": self.pair.source_name, "truth": self.pair.truth_name,
                "figures": self.figures, "lost": self.lost}


def reenact(rig: Rig, pairs: Sequence[Pair], edits: Sequence[Edit], sampling: Sampling, looker: Looker, lpips: Lpips | None,
            batch_size: int = 4) -> tuple[list[Reenacted], list[str], dict[str, float]]:
    """Every pair in every mode, in that order; one sentence for each that could not be done; {seconds, seconds_per_edit}.

    RigError when nothing could be drawn.
    """
    faces = _Faces(rig, looker)
    left_out = []
    usable: list[tuple[Pair, int, int]] = []
    for pair in track(pairs, "capture", unit="pair"):
        source, truth = faces.row(pair.source), faces.row(pair.truth)
        absent = [name for name, row in ((pair.source_name, source), (pair.truth_name, truth)) if not faces.found(row)]
        if absent:
            left_out.append(f"{pair.truth_name}: left out: no face could be captured in {absent[0]}")
        else:
            usable.append((pair, source, truth))
    if not usable:
        raise RigError(f"Nothing can be re-enacted: {left_out[0] if left_out else 'there are no pairs'}")
    analyses = faces.analyses()
    requests = [Request(source, truth, edit) for _, source, truth in usable for edit in edits]
    began = time.monotonic()
    results, refused = _draw(rig, analyses, requests, sampling, batch_size)
    seconds = time.monotonic() - began
    made: list[tuple[Pair, Case]] = []
    for (pair, source, truth), result in zip((entry for entry in usable for _ in edits), results):
        if result is not None:
            case = Case(pair.source, pair.truth, analyses[source], analyses[truth], result.request.edit, result.code, result.image,
                        rig.head)
            made.append((pair, case))
    for number, reason in refused.items():
        left_out.append(f"{usable[number // len(edits)][0].truth_name}: {requests[number].edit.name} was refused: {reason}")
    pictures = [{one.name: one.draw(case) for one in CONTESTANTS} for _, case in track(made, "draw the others", unit="pair")]
    looker.read([*(pair.truth for pair, _ in made), *(image for images in pictures for image in images.values())])
    truths: dict[int, Truth] = {}
    reenacted = []
    for (pair, case), images in track(list(zip(made, pictures)), "compare", unit="pair"):
        if id(pair) not in truths:
            truths[id(pair)] = Truth(pair.truth, looker.look(pair.truth), rig.head, lpips)
        true = truths[id(pair)]
        looks = {name: looker.look(image) for name, image in images.items()}
        reenacted.append(Reenacted(case.edit.name, pair, images,
                                   {name: true.compare(image, looks[name]) for name, image in images.items()},
                                   [name for name, look in looks.items() if look.points is None or look.code is None]))
    return reenacted, left_out, {"seconds": round(seconds, 2), "seconds_per_edit": round(seconds / max(len(made), 1), 4)}


class _Faces:
    """Pictures that the rig has captured, each once; what it found is told to the looker."""

    def __init__(self, rig: Rig, looker: Looker) -> None:
        self._rig, self._looker = rig, looker
        self._rows: dict[bytes, int] = {}
        self._parts: list[Analysis] = []

    def row(self, image: np.ndarray) -> int:
        """The number of a picture; it is captured when it is new."""
        key = image.tobytes()
        if key not in self._rows:
            self._rows[key] = len(self._parts)
            found = self._rig.capture(image)
            self._parts.append(found)
            self._looker.remember(image, found.code if bool(found.found[0]) else None)
        return self._rows[key]

    def found(self, row: int) -> bool:
        return bool(self._parts[row].found[0])

    def analyses(self) -> Analysis:
        return Analysis.concatenate(self._parts)


def _draw(rig: Rig, faces: Analysis, requests: Sequence[Request], sampling: Sampling,
          batch_size: int) -> tuple[list[Result | None], dict[int, str]]:
    """A result or None for each request, and why those with None were refused; RigError when all were."""
    calls = len(requests) * rig.calls(sampling) + len({request.source for request in requests}) * rig.inversion_calls(sampling)
    with Progress(calls, "draw", "call") as progress:
        try:
            return list(rig.edit_many(faces, faces, requests, batch_size=batch_size, sampling=sampling,
                                      on_call=progress.update)), {}
        except RigError as error:
            if len(requests) == 1:
                raise
            first = error
    # Some request is refused: which, one by one tells.
    results: list[Result | None] = []
    refused: dict[int, str] = {}
    for number, request in enumerate(track(requests, "draw one by one")):
        try:
            results.append(next(rig.edit_many(faces, faces, [request], batch_size=1, sampling=sampling)))
        except RigError as error:
            results.append(None)
            refused[number] = str(error)
    if len(refused) == len(requests):
        raise first
    return results, refused
