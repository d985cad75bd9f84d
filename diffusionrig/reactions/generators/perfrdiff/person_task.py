"""Phase 2 (PSSL): clips of one person shall have like codes, clips of others unlike ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from diffusionrig.data.sampling import record_of
from diffusionrig.errors import UsageError
from diffusionrig.randomness import numpy_stream
from diffusionrig.reactions.generators.examples import Examples
from diffusionrig.reactions.generators.perfrdiff.embedder import Scaling
from diffusionrig.reactions.generators.perfrdiff.person import contrastive_loss
from diffusionrig.reactions.generators.perfrdiff.personal import LONGEST, make_encoder
from diffusionrig.reactions.generators.perfrdiff.settings import EmbedderSettings, PersonSettings
from diffusionrig.reactions.generators.perfrdiff.tasks import NAME, earlier_model, fill, people_of, seeded, stored_settings
from diffusionrig.reactions.generators.running import describe
from diffusionrig.training.task import Batch


class Person(nn.Module):
    """The encoder with the scales of its input."""

    def __init__(self, settings: PersonSettings, audio: int) -> None:
        super().__init__()
        self.scaling = Scaling(audio).requires_grad_(False)
        self.encoder = make_encoder(settings)

    def forward(self, coefficients: Tensor) -> Tensor:
        """(B, T, 58) less the mean face -> codes (B, D)."""
        return self.encoder(self.scaling.scaled("face", coefficients))


class PersonTask:
    """One sample is one person, with several clips."""

    name = "person"

    def __init__(self, settings: PersonSettings, examples: Examples, earlier: Mapping[str, Path], seed: int) -> None:
        self.settings, self.examples, self.seed = settings, examples, seed
        self.people = list(people_of(examples.split).values())
        if len(self.people) < 2:
            raise UsageError(f"{examples.split.name} shows one person only, but telling people apart needs two.")
        tensors, meta = earlier_model(earlier, "embedders")
        seeded(seed)
        self.network = Person(settings, stored_settings(EmbedderSettings, meta["model"], earlier["embedders"]).audio)
        fill(self.network.scaling, {name.removeprefix("scaling."): tensor for name, tensor in tensors.items()
                                    if name.startswith("scaling.")}, str(earlier["embedders"]))
        self.meta = describe(NAME, self.name, settings, examples)

    def __len__(self) -> int:
        return len(self.people)

    def batch(self, samples: Sequence[int]) -> Batch:
        drawn = [self._drawn(sample) for sample in samples]
        length = min(len(rows) for _, rows, _ in drawn)
        faces = [torch.stack([clip[start % (len(clip) - length + 1):][:length] for clip, start in zip(clips, starts)])
                 for clips, _, starts in ((clips, rows, starts) for clips, rows, starts in drawn)]
        people = [record_of(self.seed, sample, len(self.people)) for sample in samples]
        return {"face": torch.stack(faces), "people": torch.tensor(people)}

    def _drawn(self, sample: int) -> tuple[list[Tensor], Tensor, list[int]]:
        """Clips of a sample's person, the shortest of them cut to the length that is wanted, and where to begin in each."""
        ids, stream = self.people[record_of(self.seed, sample, len(self.people))], numpy_stream(self.seed, "person", sample)
        count = self.settings.clips
        chosen = stream.choice(len(ids), count, replace=len(ids) < count)
        clips = [self.examples.clips(ids[index]).coefficients[:LONGEST] for index in chosen]
        shortest = min(clips, key=len)[:self.settings.frames or LONGEST]
        return clips, shortest, [int(number) for number in stream.integers(1 << 30, size=count)]

    def loss(self, batch: Batch, samples: Sequence[int]) -> dict[str, Tensor]:
        clips = batch["face"].shape[1]
        codes = self.network(batch["face"].flatten(0, 1))
        people = batch["people"].repeat_interleave(clips)
        return {"loss": contrastive_loss(codes, people, self.settings.temperature)}


def build_person(settings: PersonSettings, examples: Examples, earlier: Mapping[str, Path], seed: int) -> PersonTask:
    return PersonTask(settings, examples, earlier, seed)
