"""Predictions as files: 58 coefficients of one clip, of K samples, or of N items, and the 25 attributes beside them."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np

from diffusionrig.errors import RigError, UsageError
from diffusionrig.geometry.arkit import ARKIT_NAMES
from diffusionrig.io.arrays import read_npy
from diffusionrig.io.files import existing_file
from diffusionrig.reactions.frames.codes import ANGLES
from diffusionrig.reactions.interface import ATTRIBUTES, COEFFICIENTS

SUFFIX = "_3dmm"
COLUMNS = (*ARKIT_NAMES, "angle x", "angle y", "angle z", "translation x", "translation y", "translation z")


@dataclasses.dataclass(frozen=True)
class StoredPrediction:
    """One item: ``coefficients`` (K, T, 58) float32, absolute; ``emotion`` (K, T, 25) float32 where there are any; the file."""

    coefficients: np.ndarray
    emotion: np.ndarray | None
    path: Path


def read_prediction(path: str | Path, item: int | None = None, mean_face: np.ndarray | None = None,
                    centred: bool = False) -> StoredPrediction:
    """Read ``NAME.npy`` or ``NAME_3dmm.npy``, shaped (T, 58), (K, T, 58) or (N, K, T, 58), where ``item`` picks one of N.

    A file of 25 attributes is used through the ``NAME_3dmm.npy`` beside it, and the other way round. ``centred``: the mean face
    (58,) was taken off, and is added back here, once. UsageError and RigError name file, sample, frame and column.
    """
    named = existing_file(path, "prediction")
    array = _numbers(named)
    emotion_file: Path | None = None
    coefficient_file = named
    if array.shape[-1] == ATTRIBUTES:
        emotion_file, coefficient_file = named, named.with_name(f"{named.stem}{SUFFIX}.npy")
        if not coefficient_file.is_file():
            raise UsageError(f"{named} holds 25 attributes, which no face can be drawn from, and there is no "
                             f"{coefficient_file.name} beside it; make one with 'diffusionrig react coefficients predict'.")
    elif named.stem.endswith(SUFFIX) and (beside := named.with_name(f"{named.stem.removesuffix(SUFFIX)}.npy")).is_file():
        emotion_file = beside
    coefficients = _one_item(_numbers(coefficient_file), COEFFICIENTS, coefficient_file, item)
    emotion = None if emotion_file is None else _one_item(_numbers(emotion_file), ATTRIBUTES, emotion_file, item)
    if emotion is not None and emotion.shape[:2] != coefficients.shape[:2]:
        raise RigError(f"{emotion_file} has K={emotion.shape[0]} samples of T={emotion.shape[1]} frames, but {coefficient_file} "
                       f"K={coefficients.shape[0]} of T={coefficients.shape[1]}; make both from one prediction.")
    if centred:
        if mean_face is None:
            raise UsageError("--centred True needs the corpus's mean face, which is to be added back; give --mean_face or --data.")
        coefficients = coefficients + mean_face.astype(np.float32)
    _upright(coefficients, coefficient_file, centred)
    return StoredPrediction(coefficients, emotion, coefficient_file)


def read_mean_face(path: str | Path) -> np.ndarray:
    """``mean_face.npy`` of a corpus: (58,) float32."""
    values = read_npy(existing_file(path, "mean face"))
    if values.size != COEFFICIENTS or not np.issubdtype(values.dtype, np.number) or not np.isfinite(values).all():
        raise RigError(f"{path} holds {values.size} values, but a mean face has {COEFFICIENTS} finite ones; give mean_face.npy.")
    return values.reshape(COEFFICIENTS).astype(np.float32)


def _numbers(path: Path) -> np.ndarray:
    array = read_npy(path)
    if not np.issubdtype(array.dtype, np.floating) or array.ndim == 0 or array.shape[-1] not in (COEFFICIENTS, ATTRIBUTES):
        width = array.shape[-1] if array.ndim else 0
        raise RigError(f"{path} holds {array.dtype} of shape {array.shape}, {width} values a frame; frames of coefficients have "
                       f"{COEFFICIENTS}, of attributes {ATTRIBUTES}.")
    return array


def _one_item(array: np.ndarray, width: int, path: Path, item: int | None) -> np.ndarray:
    """(K, T, width) float32, finite."""
    if array.shape[-1] != width:
        raise RigError(f"{path} has {array.shape[-1]} values a frame, but {width} are needed there; check which file is which.")
    if array.ndim == 3 and array.shape[1] == 1:
        array = array[:, 0]  # the corpora store a clip as (T, 1, 58)
    if array.ndim == 4:
        if item is None:
            raise UsageError(f"{path} holds {len(array)} items; choose one with --item 0 to {len(array) - 1}.")
        if not 0 <= item < len(array):
            raise UsageError(f"{path} holds {len(array)} items; --item {item} is not among 0 to {len(array) - 1}.")
        array = array[item]
    elif array.ndim == 2:
        array = array[None]
    elif array.ndim != 3:
        raise RigError(f"{path} has the shape {array.shape}; give (T, {width}), (K, T, {width}) or (N, K, T, {width}).")
    if 0 in array.shape:
        raise RigError(f"{path} holds no frames; make the prediction again.")
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        sample, frame, column = bad[0]
        name = f" ({COLUMNS[column]})" if width == COEFFICIENTS else ""
        raise RigError(f"{path}, sample {sample}, frame {frame}: value {column}{name} is {array[sample, frame, column]}; "
                       f"{len(bad)} values are not finite; make the prediction again.")
    return np.ascontiguousarray(array, np.float32)


def _upright(coefficients: np.ndarray, path: Path, centred: bool) -> None:
    """UsageError when the first angle cannot be that of an upright FaceVerse head, which is near pi."""
    angle = float(np.median(coefficients[..., ANGLES.start]))
    if abs(angle - math.pi) > math.pi / 2:
        hint = ("the file seems to be absolute already: leave --centred out" if centred
                else "the mean face seems to have been taken off: add it back with --centred True")
        raise UsageError(f"The first angle in {path} is about {angle:.2f}, but upright heads have about 3.14; {hint}.")
