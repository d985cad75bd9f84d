"""Features of the sound that need nothing beyond the package."""

from __future__ import annotations

import numpy as np

from diffusionrig.reactions.features.clip_data import ClipData
from diffusionrig.reactions.features.field import Field
from diffusionrig.reactions.features.logmel import log_mel
from diffusionrig.reactions.features.mfcc import frame_mfcc

OF_FRAME = "Row t sees the sound of video frame t alone."


class LogMel:
    """``s_MFCC``: UniFR's name for what are 26 log mel energies."""

    name = "logmel"

    def fields(self, fps: float) -> tuple[Field, ...]:
        return (Field("s_MFCC", fps, OF_FRAME, "26 log mel energies under a Hann window, 0 to 8 kHz (UniFR calls them MFCC; it "
                      "computed them in windows that drift away from the frames)."),)

    def extract(self, data: ClipData) -> dict[str, np.ndarray]:
        return {"s_MFCC": log_mel(*data.sound, fps=data.fps)[:data.length]}


class Mfcc:
    """``s_mfcc78``."""

    name = "mfcc"

    def fields(self, fps: float) -> tuple[Field, ...]:
        return (Field("s_mfcc78", fps, OF_FRAME, "Kaldi's MFCC with its defaults and the energy: 13 cepstra of each window within "
                      "the frame, their differences, and the differences of these, as the REACT baselines have them."),)

    def extract(self, data: ClipData) -> dict[str, np.ndarray]:
        return {"s_mfcc78": frame_mfcc(*data.sound, fps=data.fps, count=data.length)}
