"""Reactions of a trained PerFRDiff: generic, or those of the person whose earlier clips are given."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from diffusionrig.errors import UsageError
from diffusionrig.io.checkpoints import load_checkpoint
from diffusionrig.randomness import torch_stream
from diffusionrig.reactions.generators.clips import AUDIO, Clip
from diffusionrig.reactions.generators.perfrdiff.generator import Generator, Noise
from diffusionrig.reactions.generators.perfrdiff.personal import Parts, Personal
from diffusionrig.reactions.generators.perfrdiff.settings import (
    EmbedderSettings,
    GeneratorSettings,
    PersonalSettings,
    PersonSettings,
)
from diffusionrig.reactions.generators.perfrdiff.shifts import Shifts
from diffusionrig.reactions.generators.perfrdiff.tasks import NAME, fill, stored_settings
from diffusionrig.reactions.generators.perfrdiff.windows import joined, speaker_view, window_starts
from diffusionrig.reactions.interface import ATTRIBUTES, ListenerHistory, Mode, Prediction, SpeakerClip

_KEPT = 64
"""People whose shifts stay in memory."""


class PerFRDiff:
    """All windows of a clip and its K samples go through the network together; a person's shifts are worked out once."""

    name = NAME

    def __init__(self, generator: Generator, personal: Personal | None, device: torch.device) -> None:
        self.generator, self.personal, self.device = generator.to(device).eval(), personal, device
        if personal is not None:
            personal.to(device).eval()
        self._people: dict[tuple[str, int], tuple[Shifts, Tensor]] = {}

    @torch.no_grad()
    def generate(self, speaker: SpeakerClip, listener: ListenerHistory | None, k: int, seed: int, mode: Mode) -> Prediction:
        """Offline, a window sees the speaker's window at the same time where the model was trained to; online and otherwise, only
        what came before the window. UsageError when the clip is shorter than a window."""
        clip, window, settings = self._clip(speaker), self.generator.embedding.window, self.generator.settings
        starts = window_starts(len(clip), window)
        views = [speaker_view(clip, start, window, settings.past, settings.present, mode == "online") for start in starts]
        view = {name: torch.stack([one[name] for one in views]).to(self.device) for name in views[0]}
        shifts, offset = self._person(listener)
        made = self.generator.sample(view, self._noise(speaker.name, len(starts), k, seed), shifts)
        emotion = joined(made, starts, len(clip))
        coefficients = self.generator.embedders.coefficients(emotion) + self.generator.embedders.scaling.mean_face + offset
        return Prediction(emotion.float().cpu().numpy(), coefficients.float().cpu().numpy())

    def _clip(self, speaker: SpeakerClip) -> Clip:
        if speaker.coefficients is None:
            raise UsageError(f"{NAME} reads the speaker's coefficients, but {speaker.name} has none; take a corpus that has them.")
        emotion = torch.from_numpy(speaker.emotion)
        heard = speaker.audio.get(AUDIO)
        audio = torch.zeros(len(emotion), self.generator.embedding.audio) if heard is None else torch.from_numpy(heard)
        return Clip(emotion, torch.from_numpy(speaker.coefficients) - self.generator.embedders.scaling.mean_face.cpu(), audio)

    def _noise(self, name: str, windows: int, k: int, seed: int) -> Noise:
        """Of a sample's own stream each, so that it is the same whatever K is."""
        frames, latents = [], []
        for sample in range(k):
            stream = torch_stream(seed, NAME, name, sample)
            frames.append(torch.randn(windows, self.generator.embedding.window, ATTRIBUTES, generator=stream))
            latents.append(torch.randn(windows, 1, self.generator.latent, generator=stream))
        return Noise(torch.stack(frames, 1).to(self.device), torch.stack(latents, 1).to(self.device))

    def _person(self, listener: ListenerHistory | None) -> tuple[Shifts | None, Tensor]:
        """The shifts of a person, and what the coefficients in the history are beyond those that go with its attributes."""
        scaling = self.generator.embedders.scaling
        if listener is None or self.personal is None or not listener.coefficients:
            return None, torch.zeros_like(scaling.mean_face)
        key = (listener.name, hash(tuple(rows.tobytes() for rows in [*listener.coefficients, *listener.emotion])))
        if key not in self._people:
            clips = [(torch.from_numpy(emotion).to(self.device), torch.from_numpy(face).to(self.device) - scaling.mean_face)
                     for emotion, face in zip(listener.emotion, listener.coefficients)]
            code = self.personal.person_code([self.personal.clip_code(emotion, face) for emotion, face in clips])
            beyond = [(face - self.generator.embedders.coefficients(emotion)).median(0).values for emotion, face in clips]
            while len(self._people) >= _KEPT:
                self._people.pop(next(iter(self._people)))
            self._people[key] = self.personal.shifts_of(code[None]), torch.stack(beyond).mean(0)
        return self._people[key]


def load_perfrdiff(path: Path, device: torch.device) -> PerFRDiff:
    """The generator of the phases ``generator`` (generic reactions only) or ``personal``."""
    tensors, meta = load_checkpoint(path)
    if meta["phase"] == "generator":
        generator = Generator(stored_settings(EmbedderSettings, meta["embedders"], path),
                              stored_settings(GeneratorSettings, meta["model"], path))
        fill(generator, tensors, str(path))
        return PerFRDiff(generator, None, device)
    if meta["phase"] != "personal":
        raise UsageError(f"{path} is the model of the phase {meta['phase']}, which makes no reactions; train the phase generator.")
    kinds = {"embedders": EmbedderSettings, "person": PersonSettings, "generator": GeneratorSettings, "personal": PersonalSettings}
    personal = Personal(Parts(**{name: stored_settings(kind, meta["parts"][name], path) for name, kind in kinds.items()}))
    fill(personal, tensors, str(path))
    return PerFRDiff(personal.generator, personal, device)
