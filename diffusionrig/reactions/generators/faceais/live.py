"""FaceAIS fed frame by frame."""

from __future__ import annotations

import numpy as np
import torch

from diffusionrig.reactions.generators.faceais.generating import Conversation, FaceAIS
from diffusionrig.reactions.generators.faceais.predictor import ReactPredictor
from diffusionrig.reactions.interface import Prediction
from diffusionrig.reactions.live.listening import SpeakerFrame


class LiveFaceAIS:
    """A listener who makes what ``FaceAIS.generate`` in mode online makes of the same frames: sample 0 of that name and seed."""

    def __init__(self, generator: FaceAIS, predictor: ReactPredictor, name: str, seed: int, rate: int, fps: float) -> None:
        """``rate`` in hertz is that of the frames' sound."""
        self.patch = predictor.settings.patch
        self._generator, self._rate, self._fps = generator, rate, fps
        self._talk = Conversation(predictor, name, 1, seed)
        self._faces: list[np.ndarray] = []
        self._sound: list[np.ndarray] = []

    def begin(self) -> Prediction:
        return self._react()

    def hear(self, frame: SpeakerFrame) -> Prediction | None:
        self._faces.append(frame.coefficients)
        self._sound.append(frame.log_mel(self._rate, self._fps))
        if len(self._faces) < self.patch:
            return None
        mean = self._generator.model.mean_face
        faces, sound = (torch.from_numpy(np.stack(rows)).to(mean) for rows in (self._faces, self._sound))
        self._faces, self._sound = [], []
        self._talk.hear(self._generator.tokenizer.tokens((faces - mean)[None])[0], sound)
        return self._react()

    def _react(self) -> Prediction:
        return self._generator.shown(self._talk.react(), self.patch)
