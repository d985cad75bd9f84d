"""A clip that drives the face of the page: what is asked for, and the drawing of it, by the code of ``edit``."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from diffusionrig.ahead import ahead
from diffusionrig.editing.clip_drawing import draw_clip
from diffusionrig.editing.composites import Pairs
from diffusionrig.editing.controls import Edit
from diffusionrig.editing.driven import driven_codes, write_driven
from diffusionrig.editing.driving import TRACKS, Driving, capture_clip, gap_sentences, smoothed
from diffusionrig.editing.presets import KIND, Preset, preset_from
from diffusionrig.editing.rig import Rig
from diffusionrig.editing.sampling import Sampling
from diffusionrig.editing.smoothing import Smoothing
from diffusionrig.errors import UsageError
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


class Driver:
    """Draws clips with ``rig``; remembers how the last clip moves, so that other strengths are drawn at once."""

    def __init__(self, rig: Rig, origin: Origin) -> None:
        self._rig, self._origin = rig, origin
        self._known: tuple[ClipFile, str, Driving] | None = None

    def __call__(self, sitting: Sitting, file: ClipFile, folder: Path, job: Job, *, wish: DriveWish, preset: Preset,
                 seed: int) -> Made:
        """Draw ``sitting`` as the clip in ``file`` moves into a video in ``folder``. RigError as with ``edit``, Cancelled once the
        ``job`` is."""
        rig, edit, fps = self._rig, wish.edit(preset), file.fps
        driving = self._driving(file, wish.track, job)
        driver = smoothed(driving.code, fps, Smoothing()).to(rig.device)
        code, centre = driven_codes(rig, sitting.prepared.faces, driver, edit, wish.relative)
        count = len(code)
        sound = file.frames.sound()
        voice, note = (None, "") if sound is None else fit_sound(sound, count / fps)
        job.begin("drawing", count)

        def pictures() -> Iterator[np.ndarray]:
            drawn = draw_clip(rig, sitting.prepared, code, centre, range(count), Sampling(seed=seed), BATCH)
            for (_, image), shown in zip(drawn, file.frames.held(count)):
                job.step()
                job.show([small_jpeg(image, rig.size), small_jpeg(shown)])
                yield image

        path = folder / fitting(f"{PurePosixPath(sitting.photograph.name).stem}-{file.path.stem}", ".mp4", LONGEST_NAME)
        write_driven(path, pictures(), rig, edit, seed, fps, voice)
        notes = gap_sentences(count, driving.gaps, driving.held, driving.others, driving.doubtful)
        return Made(path, count, fps, voice is not None, [*notes, *([note] if note else [])],
                    self.command(sitting, file, wish, edit, seed))

    def _driving(self, file: ClipFile, track: str, job: Job) -> Driving:
        if self._known is None or self._known[:2] != (file, track):
            self._known = None
            job.begin("tracking", len(file.frames))
            driving = capture_clip(ahead(file.frames), len(file.frames), self._rig.encoder(), BATCH, str(file.path), file.fps,
                                   track, job.step)
            self._known = file, track, driving
        return self._known[2]

    def command(self, sitting: Sitting, file: ClipFile, wish: DriveWish, edit: Edit, seed: int) -> str:
        """The command that writes the same frames and the same video."""
        words = ["diffusionrig", "edit", as_file(sitting.photograph.name), *self._origin.words()]
        words += ["--target", as_file(file.path.name), "--modes", edit.name]
        words += ["--strength", ",".join(f"{part}={number_text(edit.strength_of(part))}" for part in edit.parts)]
        words += ["--relative", "True"] if wish.relative else []
        words += ["--track", wish.track] if wish.track != TRACKS[0] else []
        asked = sliders_text(edit)
        words += ["--set", asked] if asked else []
        words += ["--face", str(sitting.number)] if sitting.number != 1 else []
        words += ["--seed", str(seed)] if seed else []
        return shlex.join(words)
