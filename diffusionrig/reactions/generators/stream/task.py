"""Training: noise of its own for every patch, the true past slightly spoilt, parts of what is known left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from diffusionrig.randomness import numpy_stream, torch_stream
from diffusionrig.reactions.generators.clips import Clip, person_of
from diffusionrig.reactions.generators.examples import Examples
from diffusionrig.reactions.generators.running import describe
from diffusionrig.reactions.generators.stream.network import SEEN, SHOWN, StreamNetwork, resting
from diffusionrig.reactions.generators.stream.settings import StreamSettings
from diffusionrig.reactions.interface import ATTRIBUTES
from diffusionrig.training.task import Batch

LEAST_SCALE = 0.05
"""Floor under the standard deviations: channels that never move must not be blown up."""


def shown(clip: Clip) -> Tensor:
    """(T, SHOWN) what a person shows."""
    return torch.cat([clip.emotion, clip.coefficients], 1)


class StreamTask:
    """See ``training.task.Task``."""

    name = "stream"

    def __init__(self, settings: StreamSettings, examples: Examples, seed: int) -> None:
        self.settings, self.examples, self.seed = settings, examples, seed
        torch.manual_seed(seed)
        self.network = StreamNetwork(settings)
        mean, scale = statistics(examples)
        self.network.mean.copy_(mean)
        self.network.scale.copy_(scale)
        self.network.mean_face.copy_(examples.clips.mean_face)
        for name, value in zip(("between", "within"), spread_of_rests(examples, mean[:SHOWN], scale[:SHOWN])):
            getattr(self.network, name).copy_(value)
        self.meta: dict[str, Any] = describe("stream", "motion", settings, examples)
        self._traits: dict[str, Tensor] = {}

    def __len__(self) -> int:
        return len(self.examples)

    def batch(self, samples: Sequence[int]) -> Batch:
        rows: dict[str, list[Tensor]] = {name: [] for name in ("speaker", "listener", "traits", "phi", "noise", "spoil", "hide")}
        network, settings = self.network, self.settings
        mean, scale = network.mean.cpu(), network.scale.cpu()
        for sample in samples:
            example = self.examples.draw(sample)
            stream, random = torch_stream("stream", self.seed, sample), numpy_stream("stream drops", self.seed, sample)
            hear, know, past = random.random(3) >= (settings.drop_speaker, settings.drop_history, settings.drop_past)
            frames = len(example.listener)
            patches = -(-frames // settings.patch)
            rows["speaker"].append((torch.cat([shown(example.speaker), example.speaker.audio], 1) - mean) / scale * float(hear))
            rows["listener"].append((shown(example.listener) - mean[:SHOWN]) / scale[:SHOWN])
            rows["traits"].append(self.traits(example.target.listener) if know else torch.zeros(2 * SHOWN))
            phi = torch.rand(patches, generator=stream) * (torch.pi / 2)
            rows["phi"].append(phi.repeat_interleave(settings.patch)[:frames])
            rows["noise"].append(torch.randn(frames, SHOWN, generator=stream))
            rows["spoil"].append(settings.past_noise * torch.randn(frames, SHOWN, generator=stream))
            rows["hide"].append(torch.tensor(not past))
        return {name: torch.stack(values) for name, values in rows.items()}

    def traits(self, clip: Any) -> Tensor:
        """(2 SHOWN,) of the listener in ``clip``, from the other clips of that person; zeros when there are none."""
        key = str(clip)
        if key not in self._traits:
            mean, scale = self.network.mean.cpu()[:SHOWN], self.network.scale.cpu()[:SHOWN]
            others = [(shown(self.examples.clips(other)) - mean) / scale for other in self.examples.clips.others(clip)]
            self._traits[key] = self.network.describe(others) if others else torch.zeros(2 * SHOWN)
        return self._traits[key]

    def loss(self, batch: Batch, samples: Sequence[int]) -> dict[str, Tensor]:
        phi, clean, noise = batch["phi"], batch["listener"] - self.network.rest(batch["traits"])[:, None], batch["noise"]
        cosine, sine = phi.cos()[..., None], phi.sin()[..., None]
        wanted = cosine * noise - sine * clean
        noisy, heard = cosine * clean + sine * noise, self.network.heard(batch["speaker"])
        made = self.network.velocity(clean + batch["spoil"], noisy, phi, heard, batch["traits"], batch["hide"])
        error = (made - wanted).square()
        return {"loss": error.mean(), "attributes": error[..., :ATTRIBUTES].mean().detach(),
                "coefficients": error[..., ATTRIBUTES:].mean().detach()}


def statistics(examples: Examples) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (SEEN,) over all frames of all speakers of the split, the latter at least LEAST_SCALE."""
    total, squares, count = torch.zeros(SEEN, dtype=torch.float64), torch.zeros(SEEN, dtype=torch.float64), 0
    for item in examples.split.items:
        clip = examples.clips(item.speaker)
        frames = torch.cat([shown(clip), clip.audio], 1).double()
        total, squares, count = total + frames.sum(0), squares + frames.square().sum(0), count + len(frames)
    mean = total / count
    return mean.float(), (squares / count - mean.square()).clamp_min(0).sqrt().clamp_min(LEAST_SCALE).float()


def spread_of_rests(examples: Examples, mean: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Variances (SHOWN,) of standardised resting faces: between people, and between clips of one person (analysis of variance; the
    first is what remains of the spread of the people's means)."""
    people: dict[str, list[Tensor]] = {}
    for item in examples.split.items:
        clip = item.listener
        people.setdefault(person_of(clip), []).append(resting((shown(examples.clips(clip)) - mean) / scale))
    rests = [torch.stack(clips) for clips in people.values()]
    spare = sum(len(clips) - 1 for clips in rests)
    if len(rests) < 2 or not spare:
        return torch.ones_like(mean), torch.zeros_like(mean)
    within = torch.stack([(clips - clips.mean(0)).square().sum(0) for clips in rests]).sum(0) / spare
    chance = within * sum(1 / len(clips) for clips in rests) / len(rests)
    between = torch.stack([clips.mean(0) for clips in rests]).var(0) - chance
    return between.clamp_min(0), within


def build(settings: StreamSettings, examples: Examples, earlier: Mapping[str, Path], seed: int) -> StreamTask:
    """The one phase there is."""
    return StreamTask(settings, examples, seed)
