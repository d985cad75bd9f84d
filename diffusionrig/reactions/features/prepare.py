"""The features of a split's speakers in one HDF5 file: clip by clip, in several processes, continued after an interruption."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from diffusionrig import __version__
from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.files import atomic_path
from diffusionrig.io.folder_lock import folder_lock
from diffusionrig.io.h5_writing import H5Writer
from diffusionrig.io.npy_rows import NpyRows
from diffusionrig.progress import Progress
from diffusionrig.randomness import numpy_stream
from diffusionrig.reactions.corpus import Corpus, Split, unifr
from diffusionrig.reactions.features.choosing import NAMES, Feature, Settings, available, make_features
from diffusionrig.reactions.features.clip_data import ClipData
from diffusionrig.reactions.features.field import VERSION, Field
from diffusionrig.reactions.features.parts import Parts
from diffusionrig.threads import one_thread, use_one_thread

Outcome = tuple[str, list[str]]
"""Why a clip could not be made, empty when it was, and notes about it."""

LENGTH = Field(unifr.LENGTH, 0, "Of the clip.", "Frames T of the clip; rows after its end are NaN or 0.", "int32")


@dataclasses.dataclass(frozen=True)
class Job:
    """root      of the corpus; ``split``; ``length`` overrides how many frames count
    features  names; ``settings`` how they are made
    shuffled  rows in the random order of ``seed``, as UniFR trains from, with the matrix in the same order beside the file
    targets   whether attributes of speakers and listeners are written beside the file, as UniFR scores against
    """

    root: str
    split: str
    features: tuple[str, ...] = NAMES
    settings: Settings = dataclasses.field(default_factory=Settings)
    length: int | None = None
    shuffled: bool = False
    seed: int = 0
    targets: bool = False

    @property
    def file_name(self) -> str:
        return f"{self.split}_{'shuffled' if self.shuffled else 'sequential'}.h5"

    def open(self) -> Split:
        return Corpus.open(self.root, self.length).split(self.split)


def prepare(job: Job, folder: str | Path, workers: int = 1) -> dict[str, Any]:
    """Write ``folder``/<split>_sequential.h5 (or _shuffled); returns {file, clips, made, features, skipped}.

    A file that is there and was made so is left as it is. UsageError when another one is there or nothing can be made; RigError
    naming the first clip that failed, after all others were made: what is done is kept, and the next run does the rest; and
    while another run works in the folder.
    """
    with folder_lock(folder, "react prepare"):
        return _prepare(job, folder, workers)


def _prepare(job: Job, folder: str | Path, workers: int) -> dict[str, Any]:
    target = Path(folder) / job.file_name
    unifr.check_sound_rate(target.parent, job.settings.sound_rate)
    split = job.open()
    features, skipped = available(make_features(job.features, job.settings), split)
    if not features:
        raise UsageError("No feature can be made: " + " ".join(skipped[name] for name in job.features if name in skipped))
    order = _order(job, len(split))
    if target.exists():
        _require_made_so(target, _about(job, split, features, skipped))
        _beside(job, split, order, target.parent, missing_only=True)
        # What a kill between the whole file and the end of that run left.
        Parts.clear(_parts_of(target), len(split))
        return {"file": str(target), "clips": len(split), "made": 0, "features": [feature.name for feature in features],
                "skipped": skipped}
    parts = Parts(_parts_of(target), _request(job, split, features))
    missing = parts.missing(len(split))
    failures: list[str] = []
    with Progress(len(split), "react prepare", "clip", len(split) - len(missing)) as progress:
        for failure, notes in _work(job, tuple(feature.name for feature in features), str(folder), missing, workers):
            failures += filter(None, [failure])
            for sentence in filter(None, [failure, *notes]):
                progress.write(sentence)
            progress.update()
    if failures:
        raise RigError(f"{len(failures)} of {len(split)} clips could not be prepared, the first because: "
                       f"{failures[0].rstrip('.')}; repair them and run again, the others are kept.")
    _assemble(job, split, features, skipped, parts, order, target)
    _beside(job, split, order, target.parent)
    Parts.clear(parts.place, len(split))
    return {"file": str(target), "clips": len(split), "made": len(missing), "features": [feature.name for feature in features],
            "skipped": skipped}


def _order(job: Job, count: int) -> np.ndarray:
    """Item in each row."""
    return numpy_stream(job.seed, "prepare", job.split).permutation(count) if job.shuffled else np.arange(count)


def _request(job: Job, split: Split, features: Sequence[Feature]) -> dict[str, Any]:
    """What decides the numbers of a clip, by name."""
    return {"corpus": split.hash, "length": split.length, "features": [feature.name for feature in features],
            "settings": dataclasses.asdict(job.settings), "version": VERSION}


def _work(job: Job, names: tuple[str, ...], folder: str, rows: list[int], workers: int) -> Iterator[Outcome]:
    """Make the clips ``rows``, in order."""
    task = functools.partial(_make_clip, job, names, folder)
    if workers <= 1 or len(rows) <= 1:
        for row in rows:
            with one_thread():
                done = task(row)
            yield done
        return
    try:
        with ProcessPoolExecutor(min(workers, len(rows)), get_context("spawn"), use_one_thread) as pool:
            yield from pool.map(task, rows)
    except BrokenProcessPool as error:
        raise RigError("A worker process ended unexpectedly, perhaps for want of memory; run the command again to continue, "
                       "with fewer --workers.") from error


@functools.lru_cache(maxsize=1)
def _tools(job: Job, names: tuple[str, ...], folder: str) -> tuple[Split, list[Feature], Parts]:
    """What one process needs for all its clips."""
    split = job.open()
    features = make_features(names, job.settings)
    return split, features, Parts(_parts_of(Path(folder) / job.file_name), _request(job, split, features))


def _make_clip(job: Job, names: tuple[str, ...], folder: str, row: int) -> Outcome:
    split, features, parts = _tools(job, names, folder)
    data = ClipData(split, split.items[row].speaker, job.settings.sound_rate)
    try:
        for feature in features:
            data.made |= feature.extract(data)
    except RigError as error:
        return f"{data.clip}: {error}", []
    keys = {field.key for feature in features for field in feature.fields(data.fps)}
    made = {key: values for key, values in data.made.items() if key in keys}
    parts.write(row, made | {LENGTH.key: np.array([data.length], np.int32)})
    return "", [f"{data.clip}: {note}" for note in data.notes]


def _assemble(job: Job, split: Split, features: Sequence[Feature], skipped: dict[str, str], parts: Parts, order: np.ndarray,
              target: Path) -> None:
    """All clips into one file, which appears when it is whole; two passes, one for the shapes."""
    fields = {field.key: field for feature in features for field in feature.fields(split.fps)} | {LENGTH.key: LENGTH}
    shapes: dict[str, tuple[int, ...]] = {}
    for row in range(len(split)):
        for key, values in parts.read(row).items():
            known = shapes.setdefault(key, values.shape)
            if known[1:] != values.shape[1:]:
                raise RigError(f"{key} of {split.items[row].speaker} has rows of the shape {values.shape[1:]}, others of "
                               f"{known[1:]}; leave the feature out.")
            shapes[key] = (max(known[0], values.shape[0]), *known[1:])
    with atomic_path(target) as temporary, H5Writer(temporary) as file:
        file.describe(_about(job, split, features, skipped))
        file.texts(unifr.NAMES, [str(split.items[row].speaker) for row in order], {"source": "Speaker of each row."})
        for key, shape in shapes.items():
            field = fields[key]
            flat = not field.rate and shape == (1,)
            file.create(key, (len(split),) if flat else (len(split), *shape), field.kind, field.attributes(shape), field.packed)
        for place, row in enumerate(order):
            for key, values in parts.read(row).items():
                file.write(key, place, values[0] if shapes[key] == (1,) and not fields[key].rate else values)


def _about(job: Job, split: Split, features: Sequence[Feature], skipped: dict[str, str]) -> dict[str, Any]:
    """What the file says of itself."""
    return {unifr.PREPARED: f"diffusionrig {__version__}", "split": split.name, "fps": float(split.fps), "corpus": split.hash,
            "length": split.length or 0, unifr.SOUND_RATE: job.settings.sound_rate,
            "order": f"shuffled with seed {job.seed}" if job.shuffled else "mirrored",
            "version": VERSION, "settings": json.dumps(dataclasses.asdict(job.settings), sort_keys=True),
            "features": json.dumps([feature.name for feature in features]), "skipped": json.dumps(skipped)}


def _require_made_so(target: Path, about: dict[str, Any]) -> None:
    """UsageError when the file that is there says of itself anything but ``about``, save by which version it was made and why
    something was left out."""
    try:
        with unifr.UnifrFile(target) as file:
            found = file.describe()
    except RigError:
        found = {}
    if "length" not in found:  # files of before did not say how many frames count
        found["length"] = about["length"]
    other = next((key for key in about if key not in {unifr.PREPARED, "skipped"} and found.get(key) != about[key]), None)
    if other is not None or unifr.PREPARED not in found:
        how = f"made with other {other}" if unifr.PREPARED in found else "not made by this command"
        raise UsageError(f"{target} exists already, {how}; read it with 'diffusionrig react prepare --check {target}', or choose "
                         "another folder.")


def _parts_of(target: Path) -> Path:
    return target.with_name(f".{target.name}.parts")


def _beside(job: Job, split: Split, order: np.ndarray, folder: Path, missing_only: bool = False) -> None:
    """The matrix in the order of a shuffled file, and the targets, under UniFR's names."""
    def wanted(file: Path) -> bool:
        return not (missing_only and file.exists())

    if job.shuffled and wanted(file := folder / f"{split.name}_appro_shuffled.npy"):
        with NpyRows(file, (len(split), len(split))) as matrix:
            for row in order:
                matrix.append(split.matrix()[row][order].astype(np.float32))
    if job.targets:
        if split.length is None:
            raise UsageError("Targets are one array, but the clips of this corpus have lengths of their own; give --length.")
        for who in ("speaker", "listener"):
            if not wanted(file := folder / f"{split.name}_{who[0]}_gt.npy"):
                continue
            with NpyRows(file, (len(split), split.length, 25)) as rows:
                for row in order:
                    rows.append(split.emotion(getattr(split.items[row], who)))
