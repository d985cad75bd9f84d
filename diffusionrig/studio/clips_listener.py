"""A listener for a speaker's clip: reactions by a generator, drawn in the face of the page as ``react render`` draws them."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from diffusionrig.editing.sampling import Sampling
from diffusionrig.editing.smoothing import Smoothing, one_euro
from diffusionrig.errors import UsageError
from diffusionrig.io.arrays import write_npy
from diffusionrig.io.assets import asset_path
from diffusionrig.io.images import write_png
from diffusionrig.io.sheets import to_uint8
from diffusionrig.io.temporary_files import fitting
from diffusionrig.reactions.frames.codes import neutral_of, reaction_codes
from diffusionrig.reactions.frames.drawing import write_side_by_side
from diffusionrig.reactions.speaking import RestingGenerator, fit_encoder, heard_speaker, load_listener, seen_speaker, speaker_clip
from diffusionrig.studio.clips_driven import Made, Setting, shown_beside
from diffusionrig.studio.clips_file import LONGEST_NAME, ClipFile
from diffusionrig.studio.clips_job import Job
from diffusionrig.studio.recipes import as_file
from diffusionrig.studio.sitting import Sitting

FPS = 25.0
"""Frames a second that generators are trained on."""

REACTIONS = 10
"""How many are made of one speaker, to choose from."""

SHIPPED = "react/listener.safetensors"
SILENT = "There is no sound of the speaker; the video is silent."
PANEL = 256
COLUMNS = "speaker,photo"
STEPS = "ddim20"
"""What ``react render`` takes where nothing is said, of models that draw by steps."""


@dataclasses.dataclass(frozen=True)
class ListenWish:
    """Which reaction of a ``seed``, and whether it is ``added`` to the expression of the photograph or replaces it."""

    sample: int = 0
    seed: int = 0
    added: bool = False

    def to_json(self) -> dict[str, Any]:
        """A JSON value that ``listen_wish`` reads back."""
        return {"sample": self.sample, "seed": self.seed, "added": self.added, "samples": REACTIONS}


def listen_wish(value: dict[str, Any]) -> ListenWish:
    """The wish that a page sent; UsageError says what is wrong with it."""
    sample, seed, added = (value.get(name) for name in ("sample", "seed", "added"))
    if isinstance(sample, bool) or not isinstance(sample, int) or not 0 <= sample < REACTIONS:
        raise UsageError(f"There are {REACTIONS} reactions; choose one by its number from 0 to {REACTIONS - 1}.")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32 or not isinstance(added, bool):
        raise UsageError("A reaction needs a seed, a whole number from 0 to 4294967295, and added, true or false.")
    return ListenWish(sample, seed, added)


class Listening:
    """Draws listeners with the generator in the file or run ``model``, "" for the shipped one; remembers what it saw and heard of
    the last speaker, and the reactions to it."""

    def __init__(self, model: str = "") -> None:
        self._model = model
        self._generator: RestingGenerator | None = None
        self._seen: tuple[ClipFile, np.ndarray, dict[str, np.ndarray]] | None = None
        self._made: tuple[ClipFile, int, np.ndarray] | None = None

    def __call__(self, sitting: Sitting, file: ClipFile, folder: Path, job: Job, *, wish: ListenWish, setting: Setting) -> Made:
        """Draw ``sitting`` as it listens to the speaker in ``file``, both side by side, into a video in ``folder``. RigError when
        nobody is seen or the generator cannot be used, Cancelled once the ``job`` is."""
        rig, faces = setting.rig, sitting.prepared.faces
        generator = self._loaded(str(rig.device))
        reactions = self._reactions(generator, file, wish.seed, str(rig.device), job)
        rest = generator.face_at_rest()
        motion = one_euro(reactions[wish.sample], FPS, Smoothing())
        code, centre = reaction_codes(motion, neutral_of("mean", reactions, rest), faces.code, faces.centre, rig.head,
                                      "photo" if wish.added else "zero")
        count = len(code)
        sound = file.frames.sound()
        sampling = Sampling(respacing=STEPS, seed=wish.seed)
        path = folder / fitting(f"{PurePosixPath(sitting.photograph.name).stem}-listens", ".mp4", LONGEST_NAME)

        pairs = shown_beside(rig, sitting, code, centre, file.frames.held(count), sampling, job)
        notes = write_side_by_side(path, ((speaker, drawn) for drawn, speaker in pairs), (count, FPS), sound, PANEL,
                                   rig.pretrained.hash)
        notes += [SILENT] if sound is None else []
        beside = [folder / "reactions_3dmm.npy", folder / "mean_face.npy"]
        for place, values in zip(beside, (reactions, rest)):
            write_npy(place, values)
        if sitting.number != 1:
            # react render takes the largest face of a photograph.
            beside.append(folder / "listener.png")
            write_png(beside[-1], to_uint8(faces.images.cpu().numpy(), -1, 1)[0])
        return Made(path, count, FPS, sound is not None, notes, _command(sitting, file, wish, setting), tuple(beside))

    def _loaded(self, device: str) -> RestingGenerator:
        if self._generator is None:
            self._generator = load_listener(self._model or str(asset_path(SHIPPED)), device)
        return self._generator

    def _reactions(self, generator: RestingGenerator, file: ClipFile, seed: int, device: str, job: Job) -> np.ndarray:
        """(K, T, 58), of the same speaker and seed the same."""
        if self._made is None or self._made[:2] != (file, seed):
            rows, heard = self._speaker(file, device, job)
            job.begin("reacting", 0)
            speaker = speaker_clip(file.path.name, rows, heard, generator.face_at_rest())
            made = generator.generate(speaker, None, REACTIONS, seed, "online").coefficients
            assert made is not None
            self._made = file, seed, made
        return self._made[2]

    def _speaker(self, file: ClipFile, device: str, job: Job) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        if self._seen is None or self._seen[0] is not file:
            job.begin("listening", len(file.frames))
            rows = seen_speaker(file.frames, fit_encoder(device), job.step)
            self._seen = file, rows, heard_speaker(file.frames.sound(), len(rows), FPS)
        return self._seen[1:]


def _command(sitting: Sitting, file: ClipFile, wish: ListenWish, setting: Setting) -> str:
    """The command that draws the same frames and the same video from the reactions beside it."""
    listener = sitting.photograph.name if sitting.number == 1 else "listener.png"
    words = ["diffusionrig", "react", "render", "reactions_3dmm.npy", "--listener", as_file(listener), *setting.origin.words()]
    words += ["--speaker", as_file(file.path.name), "--columns", COLUMNS, "--mean_face", "mean_face.npy", "--k", str(wish.sample)]
    words += ["--rest", "photo"] if wish.added else []
    words += ["--seed", str(wish.seed)] if wish.seed else []
    return shlex.join([*words, "--output_dir", "log/listener"])
