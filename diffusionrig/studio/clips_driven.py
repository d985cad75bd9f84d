"""A clip that drives the face of the page: what is asked for, and the drawing of it, by the code of ``edit``."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from torch import Tensor

from diffusionrig.ahead import ahead
from diffusionrig.editing.clip_drawing import draw_clip
from diffusionrig.editing.composites import Pairs
from diffusionrig.editing.controls import Edit
from diffusionrig.editing.driven import driven_codes, write_driven
from diffusionrig.editing.driving import TRACKS, Driving, Encoder, capture_clip, gap_sentences, smoothed
from diffusionrig.editing.presets import KIND, Preset, preset_from
from diffusionrig.editing.rig import Rig
from diffusionrig.editing.sampling import Sampling
from diffusionrig.editing.smoothing import Smoothing
from diffusionrig.errors import UsageError
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.io.sound import fit_sound
from diffusionrig.io.temporary_files import fitting
from diffusionrig.studio.clips_file import LONGEST_NAME, ClipFile, small_jpeg
from diffusionrig.studio.clips_job import Job
from diffusionrig.studio.recipes import Origin, as_file, number_text, sliders_text
from diffusionrig.studio.sitting import Sitting

BATCH = 4


@dataclasses.dataclass(frozen=True)
class DriveWish:
    """What is taken from a clip, how strongly, and how: ``relative`` and ``track`` as with ``edit``."""

    taken: Pairs = (("pose", 1.0), ("exp", 1.0))
    relative: bool = True
    track: str = TRACKS[0]

    def to_json(self) -> dict[str, Any]:
        """A JSON value that ``drive_wish`` reads back."""
        return {"take": dict(self.taken), "relative": self.relative, "track": self.track}

    def edit(self, preset: Preset) -> Edit:
        """The edit of every frame: the parts of the clip, then the sliders of the page. UsageError when nothing is taken."""
        if not any(strength for _, strength in self.taken):
            raise UsageError("Nothing is taken from the clip; raise expression, pose or light above zero.")
        return dataclasses.replace(preset, taken=self.taken).edit(True)


def drive_wish(value: dict[str, Any]) -> DriveWish:
    """The wish that a page sent; UsageError says what is wrong with it."""
    taken = preset_from({"kind": KIND, "take": value.get("take")}, "the clip").taken
    relative, track = value.get("relative"), value.get("track")
    if not isinstance(relative, bool) or track not in TRACKS:
        raise UsageError(f"A clip needs relative, true or false, and track, one of {', '.join(TRACKS)}.")
    return DriveWish(taken, relative, str(track))


@dataclasses.dataclass(frozen=True)
class Made:
    """A video that was drawn: ``frames`` at ``fps``, with ``sound`` or without, ``notes`` about it, and the command line that makes
    it. ``beside`` are further files to take away, by name."""

    path: Path
    frames: int
    fps: float
    sound: bool
    notes: list[str]
    command: str
    beside: tuple[Path, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """What a page says of it."""
        return {"name": self.path.name, "frames": self.frames, "fps": round(self.fps, 3), "sound": self.sound, "notes": self.notes,
                "command": self.command, "beside": [path.name for path in self.beside]}


@dataclasses.dataclass(frozen=True)
class Setting:
    """With what a clip is drawn: the ``rig`` and where it is from, what the sliders of the page ask for, and the seed."""

    rig: Rig
    origin: Origin
    preset: Preset
    seed: int


class Driver:
    """Draws clips; remembers how the last one moves, so that other strengths are drawn at once."""

    def __init__(self) -> None:
        self._known: tuple[ClipFile, str, Encoder, Driving] | None = None

    def __call__(self, sitting: Sitting, file: ClipFile, folder: Path, job: Job, *, wish: DriveWish, setting: Setting) -> Made:
        """Draw ``sitting`` as the clip in ``file`` moves into a video in ``folder``. RigError as with ``edit``, Cancelled once the
        ``job`` is."""
        rig, edit, fps = setting.rig, wish.edit(setting.preset), file.fps
        driving = self._driving(file, wish.track, rig.encoder(), job)
        driver = smoothed(driving.code, fps, Smoothing()).to(rig.device)
        code, centre = driven_codes(rig, sitting.prepared.faces, driver, edit, wish.relative)
        count = len(code)
        sound = file.frames.sound()
        voice, note = (None, "") if sound is None else fit_sound(sound, count / fps)
        path = folder / fitting(f"{PurePosixPath(sitting.photograph.name).stem}-{file.path.stem}", ".mp4", LONGEST_NAME)
        pictures = shown_beside(rig, sitting, code, centre, file.frames.held(count), Sampling(seed=setting.seed), job)
        write_driven(path, (drawn for drawn, _ in pictures), rig, edit, setting.seed, fps, voice)
        notes = gap_sentences(count, driving.gaps, driving.held, driving.others, driving.doubtful)
        return Made(path, count, fps, voice is not None, [*notes, *([note] if note else [])],
                    _command(sitting, file, wish, edit, setting))

    def _driving(self, file: ClipFile, track: str, encoder: Encoder, job: Job) -> Driving:
        if self._known is None or self._known[:3] != (file, track, encoder):
            self._known = None
            job.begin("tracking", len(file.frames))
            driving = capture_clip(ahead(file.frames), len(file.frames), encoder, BATCH, str(file.path), file.fps, track, job.step)
            self._known = file, track, encoder, driving
        return self._known[3]


def shown_beside(rig: Rig, sitting: Sitting, code: FaceCode, centre: Tensor, beside: Iterable[np.ndarray], sampling: Sampling,
                 job: Job) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Draw the frames of ``code`` (T faces) with their heads at ``centre`` (T, 3), each with the picture ``beside`` it; both are
    shown to whom the ``job`` tells."""
    job.begin("drawing", len(code))
    drawn = draw_clip(rig, sitting.prepared, code, centre, range(len(code)), sampling, BATCH)
    for (_, image), other in zip(drawn, beside):
        job.step()
        job.show([small_jpeg(image, rig.size), small_jpeg(other)])
        yield image, other


def _command(sitting: Sitting, file: ClipFile, wish: DriveWish, edit: Edit, setting: Setting) -> str:
    """The command that writes the same frames and the same video."""
    words = ["diffusionrig", "edit", as_file(sitting.photograph.name), *setting.origin.words()]
    words += ["--target", as_file(file.path.name), "--modes", edit.name]
    words += ["--strength", ",".join(f"{part}={number_text(edit.strength_of(part))}" for part in edit.parts)]
    words += ["--relative", "True"] if wish.relative else []
    words += ["--track", wish.track] if wish.track != TRACKS[0] else []
    asked = sliders_text(edit)
    words += ["--set", asked] if asked else []
    words += ["--face", str(sitting.number)] if sitting.number != 1 else []
    words += ["--seed", str(setting.seed)] if setting.seed else []
    return shlex.join(words)
