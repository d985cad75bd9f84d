"""The phases as tasks of the common loop: coefficients, pretrain, finetune."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from diffusionrig.errors import UsageError
from diffusionrig.randomness import numpy_stream
from diffusionrig.reactions.coefficients.network import AttributesToCoefficients
from diffusionrig.reactions.coefficients.network import fresh as fresh_coefficients
from diffusionrig.reactions.generators.examples import Example, Examples
from diffusionrig.reactions.generators.running import describe
from diffusionrig.reactions.generators.unifr.inputs import PreparedFeatures, Source, own_features
from diffusionrig.reactions.generators.unifr.learning_words import learn_vocabulary
from diffusionrig.reactions.generators.unifr.model import UnifrModel, load_coefficients, load_model
from diffusionrig.reactions.generators.unifr.network import UnifiedTransformer, fresh
from diffusionrig.reactions.generators.unifr.objectives import causal_loss, draw_mask, masked_loss, matching_loss
from diffusionrig.reactions.generators.unifr.settings import Coefficients, Finetune, Pretrain
from diffusionrig.reactions.generators.unifr.word_files import read_vocabulary
from diffusionrig.training.task import Batch

NAME = "unifr"


class CoefficientsTask:
    """Mean squared error on absolute coefficients, on stretches that begin and end anywhere."""

    name = "unifr coefficients"

    def __init__(self, settings: Coefficients, examples: Examples, seed: int) -> None:
        self.examples, self.settings, self.seed = examples, settings, seed
        self.network: AttributesToCoefficients = fresh_coefficients(seed)
        self.meta = describe(NAME, "coefficients", settings, examples)

    def __len__(self) -> int:
        return len(self.examples)

    def batch(self, samples: Sequence[int]) -> Batch:
        """Attributes (B, T, 25), absolute coefficients (B, T, 58), lengths (B,) of the stretches."""
        drawn = [self.examples.draw(sample) for sample in samples]
        lengths = [int(numpy_stream(self.seed, "stretch", sample).integers(min(self.settings.shortest, len(one.listener)),
                                                                           len(one.listener) + 1))
                   for sample, one in zip(samples, drawn)]
        pad = nn.utils.rnn.pad_sequence
        return {"emotion": pad([one.listener.emotion[:n] for one, n in zip(drawn, lengths)], batch_first=True),
                "face": pad([(one.listener.coefficients + self.examples.clips.mean_face)[:n] for one, n in zip(drawn, lengths)],
                            batch_first=True),
                "length": torch.tensor(lengths)}

    def loss(self, batch: Batch, samples: Sequence[int]) -> dict[str, Tensor]:
        lengths = batch["length"].cpu()
        packed = nn.utils.rnn.pack_padded_sequence(batch["emotion"], lengths, batch_first=True, enforce_sorted=False)
        states, _ = nn.utils.rnn.pad_packed_sequence(self.network.lstm(packed)[0], batch_first=True)
        wrong = functional.mse_loss(self.network.fc(states), batch["face"], reduction="none").mean(-1)
        inside = torch.arange(wrong.shape[1], device=wrong.device) < batch["length"][:, None]
        return {"loss": (wrong * inside).sum(1).div(batch["length"]).mean()}


class UnifrTask:
    """Matching, masked and causal objectives, added up."""

    def __init__(self, phase: str, settings: Pretrain, examples: Examples, model: UnifrModel, seed: int) -> None:
        self.name = f"unifr {phase}"
        self.settings, self.examples, self.seed, self.network = settings, examples, seed, model
        self.objectives = settings.objectives.split()
        self.every = max(1, round(1 / settings.matching))
        for idle in idle_parts(model.transformer, self.objectives):
            idle.requires_grad_(False)
        self.source: Source = own_features
        if settings.inputs == "prepared":
            self.source = PreparedFeatures(Path(settings.prepared), examples.split.name, settings.AU_size)
        self.meta = {**describe(NAME, phase, settings, examples), "words": model.vocabulary.sizes}

    def __len__(self) -> int:
        return len(self.examples)

    def batch(self, samples: Sequence[int]) -> Batch:
        """Inputs of the speaker (B, T, ...), words of a suiting listener and of one that does not suit (B, T, 3), what is shown and
        what counts of them (B, T, 3), the first frame (B,), and who is matched (B,)."""
        drawn = [self.examples.draw(sample) for sample in samples]
        rows = [self._row(sample, one) for sample, one in zip(samples, drawn)]
        return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}

    def _row(self, sample: int, one: Example) -> dict[str, Tensor]:
        stream = numpy_stream("unifr example", self.seed, sample)
        whole = self.source(one.item.speaker, self.examples.clips(one.item.speaker))
        frames, stop = len(one.listener), one.start + len(one.listener)
        row = {name: value if name in ("functionals", "descriptors") else value[one.start:stop] for name, value in whole.items()}
        words = self.network.vocabulary.encode
        device = self.network.mean_face.device
        shown = draw_mask(frames, stream)
        row |= {"words": words(one.listener.emotion.to(device)).cpu(), "shown": shown, "start": torch.tensor(one.start),
                "counted": ~shown | torch.from_numpy(stream.random((frames, 3)) < self.settings.focus)}
        if "matching" in self.objectives:
            stranger = self._stranger(one.item.index, stream) if sample % self.every == 0 else None
            row["other"] = row["words"]
            if stranger is not None:
                other = self.examples.clips(self.examples.split.items[stranger].listener)
                row["other"] = words(other.part(min(one.start, max(len(other) - frames, 0)), frames).emotion.to(device)).cpu()
            row["matched"] = torch.tensor(stranger is not None)
        return row

    def _stranger(self, index: int, stream: np.random.Generator) -> int | None:
        """An item whose listener does not suit the speaker of item ``index``, if there is one."""
        strangers = np.flatnonzero(~self.examples.split.matrix()[index])
        return int(stream.choice(strangers)) if len(strangers) else None

    def loss(self, batch: Batch, samples: Sequence[int]) -> dict[str, Tensor]:
        network, settings = self.network.transformer, self.settings
        start = batch["start"].tolist()
        inputs = {name: batch[name] for name in self._inputs(batch)}
        terms: dict[str, Tensor] = {}
        if "matching" in self.objectives:
            chosen = batch["matched"].nonzero()[:, 0]
            some = {name: value[chosen] for name, value in inputs.items()}
            begin = [start[i] for i in chosen.tolist()]
            terms["matching"] = torch.zeros((), device=batch["words"].device)
            if len(chosen):
                for key, belongs in (("words", True), ("other", False)):
                    found = self._kept(matching_loss, network, some, batch[key][chosen], belongs, begin)
                    terms["matching"] = terms["matching"] + found.sum() * self.every / len(samples)
        if "masked" in self.objectives:
            terms["masked"] = self._kept(masked_loss, network, inputs, batch["words"], batch["shown"], batch["counted"],
                                         start).mean()
        if "causal" in self.objectives:
            terms["causal"] = self._kept(causal_loss, network, inputs, batch["words"], settings.online_step, settings.shift,
                                         settings.context, start, settings.leak).mean()
        return {"loss": sum(terms.values(), self._untouched()), **terms}

    def _untouched(self) -> Tensor:
        """0, with a gradient of 0 for every weight that learns: DDP waits for all of them, also where nobody is matched."""
        learning = [parameter for parameter in self.network.transformer.parameters() if parameter.requires_grad]
        return torch.stack([parameter.flatten()[0] * 0 for parameter in learning]).sum()

    def _inputs(self, batch: Batch) -> list[str]:
        return [name for name in batch if name in (*self.network.transformer.project, "face")]

    def _kept(self, objective: Callable[..., Tensor], *arguments: Any) -> Tensor:
        if self.settings.checkpointing and torch.is_grad_enabled():
            made = checkpoint(objective, *arguments, use_reentrant=False)
            assert isinstance(made, Tensor)
            return made
        return objective(*arguments)


def idle_parts(transformer: UnifiedTransformer, objectives: Sequence[str]) -> list[Any]:
    """Modules and parameters that the objectives leave alone: the attention of the other task above all. Weight decay and averaging
    must not change them."""
    idle: list[Any] = []
    if "causal" not in objectives:
        idle += [block.causal for block in transformer.blocks]
    if "masked" not in objectives:
        idle += [transformer.sort_of_sound, transformer.project["functionals"], transformer.project["descriptors"]]
    if "matching" not in objectives:
        idle += [transformer.match, transformer.matching]
        if "masked" not in objectives:
            idle += [block.both for block in transformer.blocks]
    if list(objectives) == ["matching"]:
        idle += [transformer.heads]
    return idle


def build_coefficients(settings: Coefficients, examples: Examples, earlier: Mapping[str, Path], seed: int) -> CoefficientsTask:
    return CoefficientsTask(settings, examples, seed)


def build_pretrain(settings: Pretrain, examples: Examples, earlier: Mapping[str, Path], seed: int) -> UnifrTask:
    """UsageError when there is no network from attributes to coefficients yet."""
    if "coefficients" not in earlier:
        raise UsageError("There is no model of the phase coefficients in log_dir, which reactions need to be drawn; train it with "
                         "--phase coefficients first, or all phases.")
    if settings.vocabulary:
        vocabulary = read_vocabulary(settings.vocabulary, settings.compat)
    else:
        limits = {"AU": settings.AU_words, "exp": settings.exp_words, "VA": settings.VA_words}
        vocabulary = learn_vocabulary(examples.split, limits, settings.VA_bins, seed, settings.compat)
    transformer = fresh(settings.sizes(vocabulary.sizes), seed)
    model = UnifrModel(transformer, vocabulary, load_coefficients(earlier["coefficients"]), examples.clips.mean_face)
    return UnifrTask("pretrain", settings, examples, model, seed)


def build_finetune(settings: Finetune, examples: Examples, earlier: Mapping[str, Path], seed: int) -> UnifrTask:
    """UsageError when there is nothing to go on from."""
    if "pretrain" not in earlier:
        raise UsageError("There is no model of the phase pretrain in log_dir to be tuned; train that phase first.")
    model, before, _ = load_model(earlier["pretrain"])
    model.coefficients.requires_grad_(False)
    return UnifrTask("finetune", dataclasses.replace(before, **dataclasses.asdict(settings)), examples, model, seed)
