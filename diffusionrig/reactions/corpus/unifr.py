"""UniFR's prepared features: ``train_shuffled.h5``, ``val_sequential.h5``, ``test_sequential.h5``, one row per directed item."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.h5_files import H5File
from diffusionrig.reactions.corpus.checking import Finding
from diffusionrig.reactions.corpus.clips import ClipId

NAMES = "s_name"
FIELDS: dict[str, tuple[tuple[int, ...], ...]] = {
    "s_exp": ((750, 512),), "s_AU": ((750, 25088), (750, 512)), "s_VA": ((750, 1408),), "s_pose": ((150, 1408),),
    "s_MFCC": ((750, 26),), "s_GeMapfunc": ((6373,),), "s_GeMaplld": ((194805,), (2997, 65)), "is_face": ((750,),)}
"""The shapes that a row of each field may have. The action-unit map, 49 places of 512, may be stored pooled over the places."""

MAY_LACK = ("s_GeMapfunc", "s_GeMaplld")
"""Fields in which openSMILE leaves NaN where a descriptor is undefined; readers take 0 for it."""

PREPARED = "prepared_by"
"""Attribute of the files that ``diffusionrig react prepare`` writes: of any length, and without what could not be made."""

LENGTH = "length"
"""Frames of each clip in such a file."""

SOUND_RATE = "sound_rate"
"""Attribute of such a file: hertz at which all its sound was heard."""

TOKENS = "l_tokens"
TOKEN_SHAPE = (3, 750)
"""Of the listener, in the training file only: rows AU, expression, VA."""


class UnifrFile:
    """The features of a split's speakers. Every row is read when asked for and is an array of its own.

    ``clips`` names the speaker of each row; ``prepared``: whether ``react prepare`` wrote the file.
    RigError when the names or a field are absent or misshapen.
    """

    def __init__(self, path: str | Path) -> None:
        self._file = H5File(path)
        try:
            self.path = self._file.path
            if NAMES not in self._file.keys:
                raise RigError(f"{self.path} has no {NAMES}, so its rows are nameless; it is no file of UniFR's features.")
            self.prepared = PREPARED in self._file.attributes()
            self.clips = [_clip(self.path, row, name) for row, name in enumerate(self._file.texts(NAMES))]
            for problem in self.problems():
                raise RigError(problem)
        except RigError:
            self._file.close()
            raise

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the arrays that the file has."""
        if self.prepared:
            return tuple(key for key in self._file.keys if key != NAMES)
        return tuple(key for key in (*FIELDS, TOKENS) if key in self._file.keys)

    def problems(self) -> Iterator[str]:
        """One sentence for every field that is absent or of another shape; a file of ``react prepare`` says itself what it has."""
        if self.prepared:
            yield from (f"{key} of {self.path} has {self._file.shape(key)[:1]} rows, but {NAMES} has {len(self.clips)}; "
                        "prepare the features again."
                        for key in self.fields if self._file.shape(key)[:1] != (len(self.clips),))
            return
        for key, shapes in FIELDS.items():
            if key not in self._file.keys:
                yield f"{self.path} lacks the field {key}; prepare the features again."
                continue
            yield from self._misshapen(key, shapes)
        if TOKENS in self._file.keys:
            yield from self._misshapen(TOKENS, (TOKEN_SHAPE,))

    def _misshapen(self, key: str, shapes: Sequence[tuple[int, ...]]) -> Iterator[str]:
        found = self._file.shape(key)
        if found[:1] != (len(self.clips),) or found[1:] not in shapes:
            wanted = " or ".join(str((len(self.clips), *shape)) for shape in shapes)
            yield f"{key} of {self.path} has the shape {found}, but {wanted} is needed; prepare the features again."

    def read(self, row: int, fields: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """Arrays of one row by field, all of them by default; of a shorter clip without what fills it up to the longest."""
        if not 0 <= row < len(self.clips):
            raise RigError(f"{self.path} has rows 0 to {len(self.clips) - 1}, not {row}.")
        found = {key: self._file.row(key, row) for key in (self.fields if fields is None else fields)}
        if self.prepared and LENGTH in self._file.keys and (fps := _number(self._file.attributes(), "fps")):
            seconds = float(self._file.row(LENGTH, row)) / fps
            found = {key: _within(values, seconds * _number(self._file.attributes(key), "rate")) for key, values in found.items()}
        return found

    def row_of(self, clip: ClipId) -> int:
        """The row of a speaker's clip; RigError when it is not there."""
        try:
            return self.clips.index(clip)
        except ValueError:
            raise RigError(f"{self.path} has no features of {clip}; prepare them.") from None

    def describe(self, key: str = "") -> dict[str, Any]:
        """Attributes of a field, or of the file, with the shape and type of a field."""
        held = self._file.attributes(key)
        return held | {"shape": self._file.shape(key), "kind": self._file.kind(key)} if key else held

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> UnifrFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def check_sound_rate(folder: Path, rate: int) -> None:
    """UsageError when a file of ``react prepare`` in ``folder`` holds features of sound at another rate than ``rate`` hertz: the
    two must not be mixed."""
    for path in sorted(folder.glob("*.h5")):
        try:
            with UnifrFile(path) as file:
                about, prepared = file.describe(), file.prepared
        except RigError:
            continue  # not such a file
        if prepared and about.get(SOUND_RATE) != rate:
            held = f"at {about[SOUND_RATE]} Hz" if SOUND_RATE in about else "each at the rate of its own file"
            raise UsageError(f"{path} holds features of sound {held}, which must not be mixed with those at {rate} Hz; prepare it "
                             "again, or choose another folder or --sound_rate.")


def _number(attributes: dict[str, Any], name: str) -> float:
    """An attribute that is a positive number; 0 when it is none."""
    value = attributes.get(name)
    return float(value) if isinstance(value, int | float) and value > 0 else 0.0


def _within(values: np.ndarray, rows: float) -> np.ndarray:
    """The rows of a clip that lasts ``rows``; those after it, which only fill up, are left out. 0: it is no sequence."""
    if not rows or not values.ndim:
        return values
    filled = values.dtype.kind == "f" and ~np.isnan(values.reshape(len(values), -1)).all(1)
    last = int(np.flatnonzero(filled)[-1]) + 1 if np.any(filled) else 0
    return values[:max(last, int(rows + 1e-6))]


def _clip(path: Path, row: int, name: str) -> ClipId:
    try:
        return ClipId.parse(name)
    except RigError as error:
        raise RigError(f"Row {row} of {NAMES} in {path}: {error}") from None


def check_unifr(path: str | Path) -> tuple[list[Finding], dict[str, int]]:
    """As ``checking.check_corpus``, for one file of features: shapes, values that are not finite, faceless clips."""
    findings: list[Finding] = []
    try:
        file = UnifrFile(path)
    except RigError as error:
        if error.exit_code == 2:
            raise
        return [Finding("", None, "", "features", "damaged", str(path), str(error))], {"splits": 0, "items": 0, "files": 1}
    with file:
        for row, clip in enumerate(file.clips):
            for key, values in file.read(row).items():
                if values.dtype.kind == "f" and key not in MAY_LACK and not np.isfinite(values).all():
                    first = np.argwhere(~np.isfinite(values))[0].tolist()
                    findings.append(Finding("", row, str(clip), "features", "damaged", str(path),
                                            f"{key} is not finite, first at {first}."))
                if key == "is_face" and not values.any():
                    findings.append(Finding("", row, str(clip), "features", "missing", str(path), "No frame shows a face."))
        return findings, {"splits": 1, "items": len(file), "files": 1}
