"""What the transformer is told of the speaker: our features of a clip, or a row of UniFR's prepared files; under the same names.

exp, AU, VA  (T, D) make up the face token; pose, sound  (T, D); functionals, descriptors  (D,) describe the sound of the whole
clip; face  (T,) bool, whether one was found in the frame.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from diffusionrig.errors import RigError, UsageError
from diffusionrig.reactions.corpus import ClipId
from diffusionrig.reactions.corpus.unifr import SOUND_RATE, UnifrFile, check_sound_rate
from diffusionrig.reactions.features.logmel import BANDS
from diffusionrig.reactions.generators.clips import AUDIO, Clip
from diffusionrig.reactions.generators.unifr.vocabulary import CHANNELS
from diffusionrig.reactions.interface import ATTRIBUTES, COEFFICIENTS, SpeakerClip

FACE, FRAME, WHOLE = ("exp", "AU", "VA"), ("pose", "sound"), ("functionals", "descriptors")
_SEGMENTS = 16  # into which the descriptors of a clip's sound are averaged
OWN = {"exp": 8, "AU": 15, "VA": 2, "pose": COEFFICIENTS, "sound": BANDS, "functionals": 2 * BANDS,
       "descriptors": _SEGMENTS * BANDS}
"""Sizes of our features: attributes, coefficients less the mean face, log-mel energies."""

PREPARED = {"exp": 512, "AU": 25088, "VA": 1408, "pose": 1408, "sound": 26, "functionals": 6373, "descriptors": 194805}
"""Sizes of UniFR's files; the action-unit map may be pooled to 512."""

_FIELDS = {"exp": "s_exp", "AU": "s_AU", "VA": "s_VA", "pose": "s_pose", "sound": "s_MFCC", "functionals": "s_GeMapfunc",
           "descriptors": "s_GeMaplld"}
_POSE_FRAMES = 5
FILES = {"train": "train_shuffled.h5", "val": "val_sequential.h5", "test": "test_sequential.h5"}

Inputs = Mapping[str, Tensor]


class Source(Protocol):
    """Where the inputs of a training clip come from."""

    def __call__(self, clip: ClipId, read: Clip) -> dict[str, Tensor]: ...


def of_clip(emotion: Tensor, pose: Tensor, sound: Tensor) -> dict[str, Tensor]:
    """Our features from attributes (T, 25), coefficients less the mean face (T, 58) and log-mel energies (T, 26)."""
    parts = {name: emotion[:, CHANNELS[name]] for name in FACE}
    return {**parts, "pose": pose, "sound": sound, "face": torch.ones(len(emotion), dtype=torch.bool),
            "functionals": torch.cat([sound.mean(0), sound.std(0, correction=0)]),
            "descriptors": functional.adaptive_avg_pool1d(sound.T[None], _SEGMENTS)[0].T.flatten()}


def own_features(clip: ClipId, read: Clip) -> dict[str, Tensor]:
    """A ``Source``: our features."""
    return of_clip(read.emotion, read.coefficients, read.audio)


def of_row(row: Mapping[str, np.ndarray], AU: int) -> dict[str, Tensor]:
    """A row of UniFR's file. Poses (150) are repeated for 5 frames each; NaN becomes 0; a map of action units (25088) is averaged
    over its 49 places where ``AU`` is 512."""
    made = {name: torch.from_numpy(np.array(row[field], np.float32)) for name, field in _FIELDS.items()}
    made["pose"] = made["pose"].repeat_interleave(_POSE_FRAMES, 0)
    if made["AU"].shape[-1] != AU:
        if AU != 512:
            raise UsageError(f"The map of action units has {made['AU'].shape[-1]} numbers a frame, but the model reads {AU}; set "
                             "pretrain.AU_size to 512 for pooled maps.")
        made["AU"] = made["AU"].reshape(len(made["AU"]), -1, 512).mean(1)
    for name in WHOLE:
        made[name] = made[name].flatten().nan_to_num()
    return {**made, "face": torch.from_numpy(np.array(row["is_face"])).bool()}


@dataclasses.dataclass
class PreparedFeatures:
    """A ``Source``: rows of UniFR's file of a split in ``folder``; each read is an array of its own."""

    folder: Path
    split: str
    AU: int

    def __post_init__(self) -> None:
        self._file = UnifrFile(self.folder / FILES[self.split])
        if SOUND_RATE in (about := self._file.describe()):
            check_sound_rate(self.folder, int(about[SOUND_RATE]))

    def __call__(self, clip: ClipId, read: Clip) -> dict[str, Tensor]:
        return of_row(self._file.read(self._file.row_of(clip), [*_FIELDS.values(), "is_face"]), self.AU)

    def arrays(self, clip: ClipId) -> dict[str, np.ndarray]:
        """The row as ``SpeakerClip.audio`` carries it."""
        return self._file.read(self._file.row_of(clip), [*_FIELDS.values(), "is_face"])


def of_speaker(speaker: SpeakerClip, mean_face: Tensor, prepared: bool, AU: int) -> dict[str, Tensor]:
    """The inputs of a clip that a generator is asked about; UsageError when something is missing."""
    if prepared:
        absent = [field for field in (*_FIELDS.values(), "is_face") if field not in speaker.audio]
        if absent:
            raise UsageError(f"The model was trained on UniFR's prepared features, but {speaker.name} comes without "
                             f"{', '.join(absent)}; use scripts/react/unifr/test.py, which reads them.")
        return of_row(speaker.audio, AU)
    if speaker.coefficients is None:
        raise UsageError(f"{speaker.name} has no coefficients, which the model takes as the speaker's pose; give a corpus that "
                         "has them.")
    if speaker.emotion.shape[1] != ATTRIBUTES:
        raise RigError(f"{speaker.name} has {speaker.emotion.shape[1]} attributes instead of {ATTRIBUTES}.")
    sound = speaker.audio.get(AUDIO)
    heard = torch.zeros(len(speaker.emotion), BANDS) if sound is None else torch.from_numpy(np.array(sound, np.float32))
    return of_clip(torch.from_numpy(np.array(speaker.emotion, np.float32)),
                   torch.from_numpy(np.array(speaker.coefficients, np.float32)) - mean_face, heard)


def cut(inputs: Inputs, start: int, length: int) -> dict[str, Tensor]:
    """Frames ``start`` to ``start + length`` of batched inputs (B, T, ...); the descriptions of the whole clip stay."""
    return {name: value if name in WHOLE else value[:, start:start + length] for name, value in inputs.items()}


def delayed(inputs: Inputs, frames: int) -> dict[str, Tensor]:
    """Batched inputs (B, T, D) with everything by frame ``frames`` later; what was before the beginning is 0 and faceless."""
    if not frames:
        return dict(inputs)
    return {name: value if name in WHOLE else torch.cat([torch.zeros_like(value[:, :frames]), value[:, :-frames]], 1)
            for name, value in inputs.items()}
