"""A whole rendering run: a prediction, a listener and, where there is one, a corpus in; frames, videos and figures out."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from diffusionrig import __version__
from diffusionrig.editing.capturing import Capturing
from diffusionrig.editing.rig import Rig
from diffusionrig.editing.smoothing import Smoothing, one_euro
from diffusionrig.errors import UsageError
from diffusionrig.io.clip_frames import ClipFrames
from diffusionrig.io.folder_lock import folder_lock
from diffusionrig.io.lmdb_files import is_store
from diffusionrig.io.sound import read_sound
from diffusionrig.reactions.frames.codes import from_photograph, neutral_of, reaction_codes
from diffusionrig.reactions.frames.described import Origin, origin_of
from diffusionrig.reactions.frames.drawing import Company, Drawing, Look, Motion, draw_reaction
from diffusionrig.reactions.frames.layout import Place, clip_name
from diffusionrig.reactions.frames.listener import Listener, find_listener, nobody
from diffusionrig.reactions.frames.prediction import StoredPrediction, read_mean_face, read_prediction

USUAL_FPS = 25.0


@dataclasses.dataclass(frozen=True)
class Reading:
    """How coefficients become motion: ``neutral`` ("" chooses mean where a mean face is known, else percentile), ``rest``,
    whether the mean face was taken off (``centred``), the file of the mean face, smoothing, ``fps`` (None: the corpus's, else 25)
    and how many frames at most (None: all)."""

    neutral: str = ""
    rest: str = "zero"
    centred: bool = False
    mean_face: str = ""
    smoothing: Smoothing = dataclasses.field(default_factory=Smoothing)
    fps: float | None = None
    frames: int | None = None


@dataclasses.dataclass(frozen=True)
class Order:
    """What a run is asked for: the ``prediction``, who listens (a photograph, store or clip; "" for the corpus's listener, or
    nobody in particular), the samples (None: all), the corpus (``data``, ``split``, ``item``; the first two as the file beside the
    prediction says where they are empty), the speaker's pictures and sound, and the names below ``output_dir``; ``notes``,
    plain JSON values, are part of what decides the pictures."""

    prediction: str
    output_dir: str
    listener: str = ""
    record: int = 0
    samples: Sequence[int] | None = None
    data: str = ""
    split: str = ""
    item: int | None = None
    speaker: str = ""
    audio: str = ""
    run: str = ""
    version: str = "version_0"
    purpose: str = "only_submit_video"
    reading: Reading = dataclasses.field(default_factory=Reading)
    notes: dict[str, Any] = dataclasses.field(default_factory=dict)
    look: Look = dataclasses.field(default_factory=Look)


@dataclasses.dataclass(frozen=True)
class _Scene:
    """The corpus's side of an item: files that exist, attributes (T, 25) of listener and speaker, and the coefficients (T, 58) of
    the listener's own clip."""

    company: Company = dataclasses.field(default_factory=Company)
    listener: str = ""
    mean_face: np.ndarray | None = None
    fps: float = USUAL_FPS
    emotion: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    shown: np.ndarray | None = None
    notes: list[str] = dataclasses.field(default_factory=list)


def render(order: Order, seeing: Rig | Capturing) -> dict[str, Any]:
    """Render the samples of one item, with the pictures of a Rig, or as meshes alone where there is only its seeing half; returns
    what is in ``report.json``, which keeps the clips of earlier runs. RigError while another run works in that folder."""
    origin, reading = origin_of(order.prediction, order.data, order.split, order.item, order.reading.fps), order.reading
    scene = _scene(order, origin)
    mean_face = read_mean_face(reading.mean_face) if reading.mean_face else scene.mean_face
    prediction = read_prediction(order.prediction, order.item, mean_face, reading.centred)
    place = Place.below(order.output_dir, order.run or prediction.path.stem, order.version, origin.name, order.purpose)
    with folder_lock(place.folder, "react render"):
        return _render(order, seeing, scene, mean_face, prediction, place)


def _render(order: Order, seeing: Rig | Capturing, scene: _Scene, mean_face: np.ndarray | None, prediction: StoredPrediction,
            place: Place) -> dict[str, Any]:
    reading = order.reading
    count = min(prediction.coefficients.shape[1], reading.frames or prediction.coefficients.shape[1])
    samples = _samples(order.samples, len(prediction.coefficients), prediction.path)
    fps = reading.fps or scene.fps
    kind = reading.neutral or ("percentile" if mean_face is None else "mean")
    neutral = neutral_of(kind, prediction.coefficients, mean_face)
    listener = _listener(order, scene, seeing)
    if not order.listener and scene.listener and scene.shown is not None and listener.frame < len(scene.shown):
        neutral = from_photograph(neutral, scene.shown[listener.frame], reading.rest)
    rig = seeing if isinstance(seeing, Rig) else None
    # What depends on the listener alone is made once for all samples.
    source = None if rig is None or listener.analysis is None else rig.painter.prepare(listener.analysis, order.look.sampling)
    report = {"software": f"diffusionrig {__version__}", "torch": torch.__version__, "items": [], "clips": {}, **place.report()}
    report["model"] = None if rig is None else {"hash": rig.pretrained.hash, "head": rig.pretrained.head,
                                                "consent": rig.pretrained.meta.get("consent")}
    item = order.item or 0
    for sample in samples:
        motion = one_euro(prediction.coefficients[sample, :count], fps, reading.smoothing)
        code, centre = reaction_codes(motion, neutral, listener.code, listener.centre, seeing.head, reading.rest)
        request = {"coefficients": hashlib.sha256(prediction.coefficients[sample, :count].tobytes()).hexdigest(),
                   "neutral": kind, "neutral_row": [round(float(value), 6) for value in neutral.row], "rest": reading.rest,
                   "smoothing": dataclasses.asdict(reading.smoothing), **order.notes}
        name = clip_name(item, sample)
        entry = draw_reaction(place, name, Motion(code, centre, fps), listener, seeing.head, Drawing(rig, source), scene.company,
                              dataclasses.replace(order.look, movie=order.purpose == "only_submit_video"), request)
        entry["notes"] += scene.notes
        report["clips"][name] = {"item": item, "sample": sample, "prediction": str(prediction.path), **entry}
    report["items"] = place.write_tensors(item, _tensors(prediction, scene), report["items"])
    place.write_report(report)
    return {**report, "folder": str(place.folder), "drawn": [clip_name(item, sample) for sample in samples]}


def _samples(wanted: Sequence[int] | None, held: int, path: Path) -> list[int]:
    chosen = list(range(held)) if wanted is None else list(dict.fromkeys(wanted))
    outside = [sample for sample in chosen if not 0 <= sample < held]
    if outside:
        raise UsageError(f"{path} holds K={held} samples; --k {outside[0]} is not among 0 to {held - 1}.")
    return chosen


def _listener(order: Order, scene: _Scene, seeing: Rig | Capturing) -> Listener:
    place = order.listener or scene.listener
    if place:
        return find_listener(place, seeing, order.record, fps=None if order.listener else scene.fps, aligned=not order.listener)
    if isinstance(seeing, Capturing):
        return nobody(seeing.head, seeing.device)
    raise UsageError("No --listener was given; name a photograph, a store or a clip of the listener, or use --mesh_only True.")


def _scene(order: Order, origin: Origin) -> _Scene:
    split = origin.split
    if split is None:
        company = _company(order, order.reading.fps or USUAL_FPS, order.speaker, order.listener)
        return _Scene(company, notes=_silence(company, order.speaker) + ([origin.note] if origin.note else []))
    assert order.item is not None
    item = split.items[order.item]
    seen, shown = (str(path) if (path := split.path("video", clip)).exists() else "" for clip in (item.speaker, item.listener))
    heard = split.path("audio", item.speaker)
    company = _company(order, order.reading.fps or float(split.fps), order.speaker or seen, shown, heard)
    return _Scene(company, shown, split.mean_face, float(split.fps),
                  {name: split.emotion(clip) for name, clip in (("listener_gt", item.listener), ("speaker_gt", item.speaker))
                   if split.path("emotion", clip).is_file()},
                  split.coefficients(item.listener) if split.path("coefficients", item.listener).is_file() else None,
                  _silence(company, order.speaker or seen or str(item.speaker)))


def _silence(company: Company, speaker: str) -> list[str]:
    """A sentence where there is a speaker who is not heard."""
    return [f"There is no sound of {speaker}; the video is silent."] if speaker and company.sound is None else []


def _company(order: Order, fps: float, speaker: str, listener: str, heard: Path | None = None) -> Company:
    """Speaker and listener beside the reaction, at its rate, and the sound: what the order names, else the corpus's file ``heard``,
    else that of the speaker's video."""
    sound = read_sound(order.audio) if order.audio else None
    if order.audio and sound is None:
        raise UsageError(f"{order.audio} is a video without sound; give the speaker's sound with --audio, or leave it out.")
    shown = None if not listener or is_store(listener) else ClipFrames(listener, fps=fps)
    if shown is not None and heard is None and len(shown) == 1:
        shown = None  # a photograph is no column of its own
    seen = ClipFrames(speaker, fps=fps) if speaker else None
    if sound is None and heard is not None and heard.is_file():
        sound = read_sound(heard)
    if sound is None and seen is not None:
        sound = seen.sound()
    return Company(seen, shown, sound)


def _tensors(prediction: StoredPrediction, scene: _Scene) -> dict[str, torch.Tensor]:
    arrays = {"listener_pred_3dmm": prediction.coefficients, **scene.emotion}
    if prediction.emotion is not None:
        arrays["listener_pred_emotion"] = prediction.emotion
    return {name: torch.from_numpy(array) for name, array in arrays.items()}
