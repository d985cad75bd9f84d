"""Phase 4 (PWSG): shifts of the trained generator's weights, so that it makes what this person showed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from diffusionrig.randomness import numpy_stream
from diffusionrig.reactions.corpus import ClipId
from diffusionrig.reactions.generators.clips import person_of
from diffusionrig.reactions.generators.examples import Examples
from diffusionrig.reactions.generators.perfrdiff.generator_task import Windows
from diffusionrig.reactions.generators.perfrdiff.personal import Parts, Personal
from diffusionrig.reactions.generators.perfrdiff.settings import (
    EmbedderSettings,
    GeneratorSettings,
    PersonalSettings,
    PersonSettings,
)
from diffusionrig.reactions.generators.perfrdiff.shifts import mean_square
from diffusionrig.reactions.generators.perfrdiff.tasks import NAME, earlier_model, fill, people_of, seeded, stored_settings
from diffusionrig.reactions.generators.running import describe
from diffusionrig.training.task import Batch


class PersonalTask:
    """One sample is one window of one person, as the person's other clips foretell it; a batch has several people."""

    name = "personal"

    def __init__(self, settings: PersonalSettings, examples: Examples, earlier: Mapping[str, Path], seed: int) -> None:
        generator, about_generator = earlier_model(earlier, "generator")
        person, about_person = earlier_model(earlier, "person")
        parts = Parts(stored_settings(EmbedderSettings, about_generator["embedders"], earlier["generator"]),
                      stored_settings(PersonSettings, about_person["model"], earlier["person"]),
                      stored_settings(GeneratorSettings, about_generator["model"], earlier["generator"]), settings)
        seeded(seed)
        self.settings, self.examples, self.seed = settings, examples, seed
        self.network = Personal(parts).train()
        fill(self.network.generator, generator, str(earlier["generator"]))
        fill(self.network.encoder, {name.removeprefix("encoder."): tensor for name, tensor in person.items()
                                    if name.startswith("encoder.")}, str(earlier["person"]))
        self.windows = Windows(examples, parts.embedders.window, self.network.generator.latent, parts.generator, seed)
        self.clips_of = people_of(examples.split)
        self._codes: dict[ClipId, Tensor] = {}
        self.meta = {**describe(NAME, self.name, settings, examples), "parts": parts.described()}

    def __len__(self) -> int:
        return len(self.examples)

    def batch(self, samples: Sequence[int]) -> Batch:
        rows = []
        for sample in samples:
            listener = self.windows.item(sample).listener
            code = self.network.person_code(self._history(sample, listener))
            rows.append({**self.windows.draw(sample, [listener]), "code": code})
        return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}

    def _history(self, sample: int, listener: ClipId) -> list[Tensor]:
        """Codes of some other clips of the person; of the clip itself where there is no other."""
        others = [clip for clip in self.clips_of[person_of(listener)] if clip != listener] or [listener]
        stream = numpy_stream(self.seed, "history", sample)
        count = int(stream.integers(1, min(len(others), self.settings.history) + 1))
        return [self._code(others[index]) for index in stream.permutation(len(others))[:count]]

    def _code(self, clip: ClipId) -> Tensor:
        if clip not in self._codes:
            shown, device = self.examples.clips(clip), next(self.network.encoder.parameters()).device
            self._codes[clip] = self.network.clip_code(shown.emotion.to(device), shown.coefficients.to(device)).cpu()
        return self._codes[clip]

    def loss(self, batch: Batch, samples: Sequence[int]) -> dict[str, Tensor]:
        shifts = self.network.shifts_of(batch["code"])
        error, size = self.network.generator.loss(batch, shifts)["attributes"], mean_square(shifts)
        loss = error + self.settings.penalty * size if self.settings.penalty else error
        return {"loss": loss, "attributes": error, "shift": size.sqrt()}


def build_personal(settings: PersonalSettings, examples: Examples, earlier: Mapping[str, Path], seed: int) -> PersonalTask:
    return PersonalTask(settings, examples, earlier, seed)
