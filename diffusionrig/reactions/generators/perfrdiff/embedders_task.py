"""Phase 1: both autoencoders at once, on windows of listeners and speakers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from diffusionrig.randomness import numpy_stream, torch_stream
from diffusionrig.reactions.generators.examples import Examples
from diffusionrig.reactions.generators.perfrdiff.embedder import Embedders, WindowVAE
from diffusionrig.reactions.generators.perfrdiff.settings import EmbedderSettings
from diffusionrig.reactions.generators.perfrdiff.tasks import NAME, seeded
from diffusionrig.reactions.generators.running import describe
from diffusionrig.training.task import Batch

MEASURED = 400
"""Clips, at most, that scales are measured on, evenly out of the split."""


class EmbeddersTask:
    """MSE of the window + KL + MSE of the other features, guessed from the true and from the decoded frames."""

    name = "embedders"

    def __init__(self, settings: EmbedderSettings, examples: Examples, seed: int) -> None:
        self.settings, self.examples, self.seed = settings, examples, seed
        seeded(seed)
        self.network = Embedders(settings.audio, settings.hidden, settings.latent, settings.mlp)
        scaling = self.network.scaling
        scaling.mean_face.copy_(examples.clips.mean_face)
        if settings.standardize:
            items = examples.split.items
            scaling.measure([examples.clips(item.listener) for item in items[::max(len(items) // MEASURED, 1)]])
        self.meta = describe(NAME, self.name, settings, examples)

    def __len__(self) -> int:
        return len(self.examples)

    def batch(self, samples: Sequence[int]) -> Batch:
        rows: dict[str, list[Tensor]] = {"emotion": [], "face": [], "noise": []}
        for sample in samples:
            item = self.examples.draw(sample, self.settings.window)
            shown = item.listener if numpy_stream(self.seed, "side", sample).random() < 0.5 else item.speaker
            rows["emotion"].append(shown.emotion)
            rows["face"].append(shown.coefficients)
            rows["noise"].append(torch.randn(2, self.settings.latent, generator=torch_stream(self.seed, "code", sample)))
        return {name: torch.stack(values) for name, values in rows.items()}

    def loss(self, batch: Batch, samples: Sequence[int]) -> dict[str, Tensor]:
        scaling = self.network.scaling
        emotion, face = scaling.scaled("emotion", batch["emotion"]), scaling.scaled("face", batch["face"])
        terms = [self._terms(vae, x, others, noise) for vae, x, others, noise in (
            (self.network.emotion, emotion, face, batch["noise"][:, 0]), (self.network.face, face, emotion, batch["noise"][:, 1]))]
        sums = {name: torch.stack([term[name] for term in terms]).sum() for name in terms[0]}
        loss = sums["window"] + self.settings.kl * sums["kl"] + self.settings.regression * sums["others"]
        return {"loss": loss, **sums}

    @staticmethod
    def _terms(vae: WindowVAE, x: Tensor, others: Tensor, noise: Tensor) -> dict[str, Tensor]:
        mean, log_variance = vae.distribution(x)
        made = vae.decode(mean + (0.5 * log_variance).exp() * noise, x.shape[1])
        guesses = [(vae.coeff_reg(frames) - others).square().mean() for frames in (x, made)]
        return {"window": (made - x).square().mean(), "others": torch.stack(guesses).mean(),
                "kl": 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(1).mean()}


def build_embedders(settings: EmbedderSettings, examples: Examples, earlier: Mapping[str, Path], seed: int) -> EmbeddersTask:
    return EmbeddersTask(settings, examples, seed)
