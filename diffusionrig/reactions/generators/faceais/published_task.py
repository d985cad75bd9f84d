"""Training the published predictor: inputs are targets ``patch`` frames earlier, and nothing hides the ones that are in both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from diffusionrig.errors import UsageError
from diffusionrig.reactions.generators.examples import Examples
from diffusionrig.reactions.generators.faceais.predictor import SPECIALS
from diffusionrig.reactions.generators.faceais.predictor_task import PredictorTask
from diffusionrig.reactions.generators.faceais.published import PublishedPredictor, left_padded
from diffusionrig.reactions.generators.faceais.settings import PredictorSettings
from diffusionrig.training.task import Batch


class PublishedTask(PredictorTask):
    """Of ``predictor.past_mask`` of the examples the beginning is hidden, from speaker, sound and own past alike."""

    name = "faceais predictor as published"

    def loss(self, batch: Batch, samples: Sequence[int]) -> dict[str, Tensor]:
        predictor, settings = self.predictor, self.settings
        assert isinstance(predictor, PublishedPredictor)
        target, face = self.tokenizer.tokens(batch["listener"]), self.tokenizer.tokens(batch["speaker"])
        length = min(settings.context, target.shape[1] - settings.patch)
        if length < 1:
            raise UsageError(f"The published predictor learns from examples of {2 * settings.patch} frames or more, not "
                             f"{target.shape[1]}.")
        shown = torch.arange(length, device=target.device) >= batch["hidden_until"][:, None]
        window, real = left_padded(face[:, :length] + SPECIALS, settings.context)
        seen = real & left_padded(shown.long(), settings.context)[0].bool()
        speaker = predictor.speaker(window, left_padded(batch["sound"][:, :length], settings.context, 0.0)[0], seen)
        past, _ = left_padded(target[:, :length] + SPECIALS, settings.context)
        logits = predictor(past, seen, speaker, seen)[:, -length:]
        wanted = target[:, settings.patch:settings.patch + length] + SPECIALS
        return {"loss": functional.cross_entropy(logits.flatten(0, 1).float(), wanted.flatten())}


def build_predictor_task(settings: PredictorSettings, examples: Examples, earlier: Mapping[str, Path], seed: int) -> PredictorTask:
    """The task of ours or, with ``compat``, of the published predictor."""
    model = earlier.get("emotion") or earlier.get("tokenizer")
    if model is None:
        raise UsageError("There is no face tokenizer in this run yet; train the phases tokenizer and emotion first.")
    return (PublishedTask if settings.compat else PredictorTask)(settings, examples, model, seed)
