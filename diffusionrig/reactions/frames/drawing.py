"""One reaction as pictures: mesh frames, the listener's own frames, a video of them side by side, a strip, a jitter figure."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diffusionrig.editing.clip_drawing import FrameFolder, clip_jitter, draw_clip
from diffusionrig.editing.jitter import landmark_jitter
from diffusionrig.editing.prepared import Prepared
from diffusionrig.editing.provenance import STATEMENT, movie_record, write_edited
from diffusionrig.editing.rig import Rig
from diffusionrig.editing.sampling import Sampling
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.io.clip_frames import ClipFrames
from diffusionrig.io.images import write_png
from diffusionrig.io.movies import write_movie
from diffusionrig.io.resize import resize_square
from diffusionrig.io.sheets import contact_sheet, to_uint8
from diffusionrig.io.sound import Sound, fit_sound
from diffusionrig.progress import Progress
from diffusionrig.reactions.frames.layout import Place
from diffusionrig.reactions.frames.listener import Listener
from diffusionrig.render.preview import render_shape

MESH_BATCH = 8
STRIP = 8
"""Frames on a contact strip."""


@dataclasses.dataclass(frozen=True)
class Motion:
    """T frames of the listener: ``code`` (T faces), ``centre`` (T, 3) metres, and ``fps``."""

    code: FaceCode
    centre: Tensor
    fps: float

    def __len__(self) -> int:
        return len(self.code)


@dataclasses.dataclass(frozen=True)
class Company:
    """What is shown and heard beside the reaction, as far as it is known: the speaker, the true listener, the speaker's sound."""

    speaker: ClipFrames | None = None
    truth: ClipFrames | None = None
    sound: Sound | None = None


COLUMNS = ("speaker", "listener", "mesh", "photo")
"""Of the video and the strip, left to right: the speaker, the true listener, the reaction as a mesh and as drawn."""


@dataclasses.dataclass(frozen=True)
class Look:
    """How pictures are made: ``panel`` pixels a column, the ``sampling`` and ``batch_size`` of the network, whether other frames
    in the folder may be overwritten, whether a video and a strip are wanted, and which ``columns`` these have, where there are
    such."""

    panel: int = 256
    sampling: Sampling = dataclasses.field(default_factory=Sampling)
    batch_size: int = 8
    overwrite: bool = False
    movie: bool = True
    columns: Sequence[str] = COLUMNS


@dataclasses.dataclass(frozen=True)
class Drawing:
    """Who draws: a ``rig``, and the listener as its painter ``prepare``d them, once for all reactions; None for meshes alone."""

    rig: Rig | None = None
    source: Prepared | None = None


def draw_reaction(place: Place, name: str, motion: Motion, listener: Listener, head: HeadModel, drawing: Drawing,
                  company: Company, look: Look, request: dict[str, Any]) -> dict[str, Any]:
    """Draw what is not drawn yet of one reaction, and write its video, strip and addresses; returns its entry in the report.

    ``request`` says what the motion was made from, as plain JSON values; with the listener and the model it decides the pictures.
    Without a rig only meshes are drawn.
    """
    rig, source = drawing.rig, drawing.source
    request = {**request, "listener": _digest(listener), "fps": motion.fps}
    mesh = FrameFolder(place.mesh(name), {**request, "panel": look.panel}, len(motion), look.overwrite)
    _draw_meshes(mesh, motion, head, look.panel, name)
    fake = None
    if rig is not None and source is not None:
        drawn = {**request, "model": rig.pretrained.hash, "precision": rig.precision, "sampling": dataclasses.asdict(look.sampling)}
        fake = FrameFolder(place.fake(name), drawn, len(motion), look.overwrite)
        missing = fake.missing()
        with Progress(len(missing) * rig.calls(look.sampling), f"draw {name}", "call") as progress:
            for frame, image in draw_clip(rig, source, motion.code, motion.centre, missing, look.sampling,
                                          look.batch_size, progress.update):
                write_edited(fake.path(frame), image, model_hash=rig.pretrained.hash, mode="reaction", seed=look.sampling.seed,
                             frame=frame)
    speaker, truth = ([] if clip is None else clip.addresses(len(motion)) for clip in (company.speaker, company.truth))
    place.write_addresses(name, truth or None, speaker or None, fake is not None)
    columns = _columns(company, mesh, fake, look.columns)
    notes = [f"{clip.path} has {len(clip)} frames, the reaction {len(motion)}; the last one is shown again."
             for clip in (company.speaker, company.truth) if clip is not None and 1 < len(clip) < len(motion)]
    notes += [sentence for clip in (company.speaker, company.truth) if clip is not None and (sentence := clip.unread())]
    if look.movie:
        model = "" if rig is None or fake is None else rig.pretrained.hash
        rows = zip(*(start() for start in columns.values()))
        notes += write_side_by_side(place.movie(name), rows, (len(motion), motion.fps), company.sound, look.panel, model)
        _write_strip(place.strip(name), columns, len(motion))
    figures: dict[str, Any] = {"landmarks": landmark_jitter(head, motion.code, look.panel)}
    if fake is not None and rig is not None:
        figures.update(clip_jitter(rig, motion.code, motion.centre, fake, look.batch_size))
    return {"frames": len(motion), "fps": motion.fps, "listener": listener.name, "columns": list(columns), "jitter": figures,
            "notes": notes, "request": request}


def _digest(listener: Listener) -> str:
    """Tells one listener from another: picture and code."""
    digest = hashlib.sha256(b"" if listener.image is None else listener.image.tobytes())
    for _, tensor in sorted(listener.code.tensors().items()):
        digest.update(tensor.detach().cpu().numpy().round(4).tobytes())
    return digest.hexdigest()


def _draw_meshes(folder: FrameFolder, motion: Motion, head: HeadModel, size: int, name: str) -> None:
    missing = folder.missing()
    with Progress(len(missing), f"mesh {name}", "frame") as progress, torch.inference_mode():
        for start in range(0, len(missing), MESH_BATCH):
            rows = missing[start:start + MESH_BATCH]
            shown = render_shape(head, motion.code[rows], size, motion.centre[rows])
            for row, image in zip(rows, to_uint8(shown.cpu().numpy())):
                write_png(folder.path(row), image)
            progress.update(len(rows))


def _columns(company: Company, mesh: FrameFolder, fake: FrameFolder | None,
             wanted: Sequence[str]) -> dict[str, Callable[[], Iterator[np.ndarray]]]:
    """The ``wanted`` columns that there are, by name, left to right, each a function that starts its frames; at least the
    reaction's own."""
    columns: dict[str, Callable[[], Iterator[np.ndarray]]] = {}
    for name, clip in (("speaker", company.speaker), ("listener", company.truth)):
        if clip is not None:
            columns[name] = lambda clip=clip: clip.held(mesh.count)  # type: ignore[misc]
    columns["mesh"] = mesh.frames
    if fake is not None:
        columns["photo"] = fake.frames
    asked = {name: start for name, start in columns.items() if name in wanted}
    return asked or {"mesh": mesh.frames}


def write_side_by_side(path: Path, rows: Iterable[Sequence[np.ndarray]], motion: tuple[int, float], sound: Sound | None, panel: int,
                       model: str) -> list[str]:
    """A video of ``rows``, pictures (H, W, 3) uint8 of one moment each, in squares of ``panel`` pixels next to each other, with the
    ``sound`` made as long; ``motion`` is how many moments there are and how many a second. ``model`` is the hash of what drew a
    column, "" where nothing was drawn. Returns sentences about the sound."""
    count, fps = motion
    note = ""
    if sound is not None:
        sound, note = fit_sound(sound, count / fps)
    frames = (np.concatenate([resize_square(image, panel) for image in row], 1) for row in rows)
    write_movie(path, frames, fps, sound, movie_record(model_hash=model, mode="reaction") if model else "")
    return [note] if note else []


def _write_strip(path: Path, columns: dict[str, Callable[[], Iterator[np.ndarray]]], count: int) -> None:
    chosen = sorted({round(i * (count - 1) / max(STRIP - 1, 1)) for i in range(STRIP)})
    rows = [[resize_square(image) for number, image in enumerate(start()) if number in chosen] for start in columns.values()]
    write_png(path, contact_sheet(rows, [f"frame {number}" for number in chosen], list(columns)), {"Comment": STATEMENT})
