"""Reactions by FaceAIS: K at a time, patch after patch, nothing computed twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from diffusionrig.errors import UsageError
from diffusionrig.io.checkpoints import load_checkpoint
from diffusionrig.model.released import load_strict
from diffusionrig.randomness import torch_stream
from diffusionrig.reactions.generators.clips import AUDIO
from diffusionrig.reactions.generators.faceais.masks import both_ways
from diffusionrig.reactions.generators.faceais.predictor import MASK, PAD, SPECIALS, Caches, ReactPredictor
from diffusionrig.reactions.generators.faceais.predictor_task import Model, heard, make_predictor, shifted
from diffusionrig.reactions.generators.faceais.published import PublishedPredictor, windowed
from diffusionrig.reactions.generators.faceais.sampling import draw, settle, still_hidden
from diffusionrig.reactions.generators.faceais.settings import SOUNDS, PredictorSettings, TokenizerSettings
from diffusionrig.reactions.generators.faceais.tokenizer import FaceTokenizer
from diffusionrig.reactions.interface import ListenerHistory, Mode, Prediction, SpeakerClip
from diffusionrig.reactions.live.listening import LiveReaction
from diffusionrig.settings import from_mapping


class Conversation:
    """K listeners of one speaker, fed patch by patch. Keys and values of what has passed are kept, ``context`` frames of them.

    ``hear`` takes a patch of the speaker, ``react`` answers with the patch that follows it. The first answer needs no speaker.
    """

    def __init__(self, predictor: ReactPredictor, name: str, k: int, seed: int) -> None:
        self.predictor, self.settings = predictor, predictor.settings
        self.name, self.k, self.seed = name, k, seed
        self.number = 0
        silence = predictor.speaker.silence
        self._device = silence.device
        limit = self.settings.context - self.settings.patch
        self._speaker_caches, self._regard_caches, self._listener_caches = Caches(limit), Caches(limit), Caches(limit)
        self._past = torch.full((k, self.settings.patch), PAD, device=self._device)
        numbers, rate = SOUNDS[self.settings.sound]
        shape = (1, self.settings.patch)
        self._speaker = self._understood(torch.full(shape, PAD, device=self._device),
                                         silence.new_zeros(*shape, numbers * rate), True)

    def hear(self, face: Tensor, sound: Tensor) -> None:
        """The patch of the speaker that was answered last: tokens (patch,) and sound (patch, D)."""
        self._speaker = self._understood(face[None] + SPECIALS, sound[None], False)

    @torch.no_grad()
    def _understood(self, face: Tensor, sound: Tensor, silent: bool) -> Tensor:
        unheard = torch.full(face.shape, silent, device=self._device)
        made = self.predictor.speaker(face, sound, unheard, None, self.predictor.rotation(self.number, 1), self._speaker_caches)
        self._speaker_caches.keep()
        return made

    @torch.no_grad()
    def react(self, speaker: Tensor | None = None) -> Tensor:
        """Tokens (K, patch) of the next patch. ``speaker`` (1, patch, C) is what is known of them where it was not heard here."""
        settings = self.settings
        rotation = self.predictor.rotation(self.number, 1)
        known = self.predictor.listener.regard(self._speaker if speaker is None else speaker, None, rotation, self._regard_caches)
        self._regard_caches.keep()
        known = known.expand(self.k, -1, -1)
        uniform = self._uniform()
        draft = torch.full_like(self._past, MASK)
        hidden = torch.ones_like(draft, dtype=torch.bool)
        for step in range(settings.steps):
            logits = self.predictor.listener(self._past, draft, known, None, rotation, self._listener_caches)
            drawn, chances = draw(logits, uniform[:, step], settings.temperature, settings.top_k)
            remain = still_hidden(settings.patch, step + 1, settings.steps)
            draft, hidden = settle(draft, drawn + SPECIALS, chances, hidden, remain)
        self._listener_caches.keep()
        self._past = draft
        self.number += 1
        return draft - SPECIALS

    def _uniform(self) -> Tensor:
        """(K, steps, patch), of each listener and patch by itself."""
        shape = (self.settings.steps, self.settings.patch)
        return torch.stack([torch.rand(shape, generator=torch_stream("faceais", self.seed, self.name, number, self.number))
                            for number in range(self.k)]).to(self._device)


class FaceAIS:
    """The generator. It is told of the speaker's coefficients and sound; the listener's history does not matter to it."""

    name = "faceais"

    def __init__(self, model: Model, settings: PredictorSettings) -> None:
        self.model, self.settings = model.eval(), settings
        self.predictor: ReactPredictor | PublishedPredictor = model.predictor
        self.tokenizer = model.tokenizer
        self._device = model.mean_face.device

    def generate(self, speaker: SpeakerClip, listener: ListenerHistory | None, k: int, seed: int, mode: Mode) -> Prediction:
        coefficients, sound = self.perceived(speaker)
        length, patch = len(coefficients), self.settings.patch
        missing = -length % patch
        coefficients, sound = (torch.cat([part, part[-1:].expand(missing, -1)]) for part in (coefficients, sound))
        face = self.tokenizer.tokens(coefficients[None])[0]
        if isinstance(self.predictor, PublishedPredictor):
            return self.shown(windowed(self.predictor, face, sound, speaker.name, k, seed, int(mode == "online")), length)
        talk = Conversation(self.predictor, speaker.name, k, seed)
        known = self._whole(self.predictor, face, sound) if mode == "offline" else None
        made = []
        for first in range(0, len(face), patch):
            made.append(talk.react(None if known is None else known[:, first:first + patch]))
            if known is None and first + patch < len(face):
                talk.hear(face[first:first + patch], sound[first:first + patch])
        return self.shown(torch.cat(made, 1), length)

    def face_at_rest(self) -> np.ndarray:
        return self.model.mean_face.cpu().numpy()

    def live(self, name: str, seed: int, rate: int = 16000, fps: float = 25.0) -> LiveReaction:
        """A listener to be fed frame by frame, with sound at ``rate`` hertz. UsageError when this model cannot be."""
        from diffusionrig.reactions.generators.faceais.live import LiveFaceAIS

        if isinstance(self.predictor, PublishedPredictor) or self.settings.sound != "logmel26":
            raise UsageError("Only a model with predictor.compat False and predictor.sound logmel26 can be fed frame by frame.")
        return LiveFaceAIS(self, self.predictor, name, seed, rate, fps)

    def perceived(self, speaker: SpeakerClip) -> tuple[Tensor, Tensor]:
        """Coefficients (T, 58) less the mean face, and sound (T, D). UsageError when the clip lacks coefficients."""
        if speaker.coefficients is None:
            raise UsageError(f"{speaker.name} has no coefficients, which FaceAIS needs of the speaker.")
        coefficients = torch.from_numpy(np.asarray(speaker.coefficients, np.float32)).to(self._device) - self.model.mean_face
        numbers, rate = SOUNDS[self.settings.sound]
        given = speaker.audio.get(AUDIO)
        if given is None:
            return coefficients, coefficients.new_zeros(len(coefficients), numbers * rate)
        sound = heard(torch.from_numpy(np.asarray(given, np.float32)), self.settings.sound).to(self._device)
        length = min(len(coefficients), len(sound))
        return coefficients[:length], sound[:length]

    @torch.no_grad()
    def _whole(self, predictor: ReactPredictor, face: Tensor, sound: Tensor) -> Tensor:
        """What is known of a speaker who is seen to the end: (1, T, C)."""
        settings = self.settings
        stream = shifted(face[None] + SPECIALS, settings.patch)
        unheard = shifted(torch.zeros_like(face[None], dtype=torch.bool), settings.patch, True)
        patches = stream.shape[1] // settings.patch
        mask = both_ways(patches, settings.patch, settings.context).to(self._device)
        return predictor.speaker(stream, shifted(sound[None], settings.patch, 0.0), unheard, mask,
                                 predictor.rotation(0, patches))

    @torch.no_grad()
    def shown(self, tokens: Tensor, length: int) -> Prediction:
        """Tokens (K, T') -> faces of the first ``length`` frames; attributes are brought into their ranges."""
        coefficients, emotion = self.tokenizer.faces(tokens)
        emotion[..., :15] = emotion[..., :15].clamp(0, 1)
        emotion[..., 15:17] = emotion[..., 15:17].clamp(-1, 1)
        emotion[..., 17:] = emotion[..., 17:].clamp(0, 1)
        absolute = coefficients + self.model.mean_face
        return Prediction(emotion[:, :length].float().cpu().numpy(), absolute[:, :length].float().cpu().numpy())


def load_faceais(path: Path, device: torch.device) -> FaceAIS:
    """The generator in a model of the phase predictor. UsageError when it is of an earlier phase."""
    tensors, about = load_checkpoint(path)
    if about.get("phase") != "predictor":
        raise UsageError(f"{path} is a face tokenizer, which makes no reactions; train the phase predictor too.")
    settings = from_mapping(PredictorSettings, about["model"], str(path))
    tokenizer = FaceTokenizer(from_mapping(TokenizerSettings, about["tokenizer"], str(path)))
    model = Model(make_predictor(settings, tokenizer.settings), tokenizer, torch.zeros_like(tensors["mean_face"]))
    load_strict(model, tensors, str(path))
    return FaceAIS(model.to(device), settings)
