"""A predictor's answers to every item of a split, written as they are made.

``NAME.npy`` (N, K, T, 25), ``NAME_3dmm.npy`` (N, K, T, 58) where the predictor makes coefficients, ``NAME.json`` about them.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from diffusionrig.errors import UsageError
from diffusionrig.io.files import make_folder, read_json, write_json
from diffusionrig.io.npy_rows import NpyRows
from diffusionrig.progress import Progress
from diffusionrig.reactions.corpus import Item, Split
from diffusionrig.reactions.interface import (
    ATTRIBUTES,
    COEFFICIENTS,
    ListenerHistory,
    Mode,
    ReactionGenerator,
    SpeakerClip,
)


def beside(path: Path, ending: str) -> Path:
    """``log/mime.npy`` with ``_3dmm.npy`` is ``log/mime_3dmm.npy``."""
    return path.with_name(path.stem + ending)


def about_predictions(path: str | Path) -> dict[str, Any]:
    """What ``NAME.json`` says of ``NAME.npy`` or ``NAME_3dmm.npy``; empty where there is none. RigError when it is damaged."""
    named = Path(path)
    file = named.with_name(f"{named.stem.removesuffix('_3dmm')}.json")
    about = read_json(file) if file.is_file() else {}
    return about if isinstance(about, dict) else {}


def clips_hash(split: Split) -> str:
    """SHA-256 of who speaks to whom, in order: predictions for other clips, or in another order, must not be scored on these."""
    return hashlib.sha256("\n".join(f"{item.speaker} {item.listener}" for item in split.items).encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class Request:
    """K, the seed, and whether frames may depend on what the speaker shows later."""

    samples: int = 10
    seed: int = 0
    mode: Mode = "offline"


Asking = Callable[[Item], tuple[SpeakerClip, ListenerHistory | None]]
"""What a generator is told of an item."""


def attributes_and_face(split: Split) -> Asking:
    """The speaker's attributes, and coefficients where the corpus has any; nothing about the listener."""
    faces = split.path("coefficients", split.items[0].speaker).is_file()
    return lambda item: (SpeakerClip(str(item.speaker), split.emotion(item.speaker),
                                     split.coefficients(item.speaker) if faces else None), None)


def write_predictions(split: Split, generator: ReactionGenerator, request: Request, path: Path, asking: Asking | None = None,
                      notes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Predict every item in mirrored order into ``path``; returns what the JSON file says, ``notes`` included. ``asking`` is by
    default ``attributes_and_face``. Files that exist are refused."""
    frames = split.length
    if frames is None:
        raise UsageError(f"The clips of {split.name} differ in length; give --length to cut them.")
    if path.suffix != ".npy":
        raise UsageError(f"Predictions are written as .npy, but --output is {path}.")
    taken = next((file for file in (path, beside(path, "_3dmm.npy"), beside(path, ".json")) if file.exists()), None)
    if taken is not None:
        raise UsageError(f"{taken} exists already; choose another --output or delete it.")
    make_folder(path.parent)
    asking = asking or attributes_and_face(split)
    shape = (len(split), request.samples, frames)
    with (Progress(len(split), f"predicting with {generator.name}", "item") as progress,
          NpyRows(path, (*shape, ATTRIBUTES)) as emotions, NpyRows(beside(path, "_3dmm.npy"), (*shape, COEFFICIENTS)) as motions):
        for item in split.items:
            made = generator.generate(*asking(item), request.samples, request.seed, request.mode)
            emotions.append(made.emotion)
            if made.coefficients is not None:
                motions.append(made.coefficients)
            progress.update()
    about = {"generator": generator.name, "data": str(split.corpus.root.resolve()), "split": split.name, "fps": split.fps,
             "items": len(split), "samples": request.samples, "frames": frames,
             "seed": request.seed, "mode": request.mode, "corpus": split.hash, "clips": clips_hash(split),
             "coefficients": beside(path, "_3dmm.npy").exists(), **(notes or {})}
    write_json(beside(path, ".json"), about)
    return about
