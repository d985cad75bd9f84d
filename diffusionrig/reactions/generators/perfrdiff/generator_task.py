"""Phase 3: prior and denoiser, on windows of speakers with several listeners that suit each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from diffusionrig.data.sampling import record_of
from diffusionrig.errors import UsageError
from diffusionrig.randomness import numpy_stream, torch_stream
from diffusionrig.reactions.corpus import ClipId, Item
from diffusionrig.reactions.generators.examples import Examples
from diffusionrig.reactions.generators.perfrdiff.diffusion import STEPS
from diffusionrig.reactions.generators.perfrdiff.generator import Generator
from diffusionrig.reactions.generators.perfrdiff.settings import EmbedderSettings, GeneratorSettings
from diffusionrig.reactions.generators.perfrdiff.tasks import NAME, earlier_model, fill, seeded, stored_settings
from diffusionrig.reactions.generators.perfrdiff.windows import speaker_view
from diffusionrig.reactions.generators.running import describe
from diffusionrig.reactions.interface import ATTRIBUTES
from diffusionrig.training.task import Batch


class Windows:
    """Training windows, by sample number: a speaker, where it begins, whether it is online, noise and step."""

    def __init__(self, examples: Examples, window: int, latent: int, settings: GeneratorSettings, seed: int) -> None:
        self.examples, self.window, self.latent, self.settings, self.seed = examples, window, latent, settings, seed

    def item(self, sample: int) -> Item:
        return self.examples.split.items[record_of(self.seed, sample, len(self.examples))]

    def draw(self, sample: int, listeners: Sequence[ClipId]) -> dict[str, Tensor]:
        """What ``Generator.loss`` needs for one window whose true answers are those of ``listeners``; unbatched."""
        settings, window = self.settings, self.window
        stream, noise = numpy_stream(self.seed, "window", sample), torch_stream(self.seed, "window", sample)
        clips, speaker = [self.examples.clips(listener) for listener in listeners], self.examples.clips(self.item(sample).speaker)
        frames = min(len(clip) for clip in [*clips, speaker])
        if frames < window:
            raise UsageError(f"{self.item(sample).speaker} or a listener to it has {frames} frames, but windows have {window}; set "
                             "embedders.window lower.")
        start = int(stream.integers(frames - window + 1))
        hidden = bool(stream.random() < settings.online)
        view = speaker_view(speaker, start, window, settings.past, settings.present, hidden)
        known = min(window, start)
        before = [torch.cat([torch.zeros(window - known, ATTRIBUTES), clip.emotion[start - known:start]]) for clip in clips]
        count = len(clips)
        keep = (stream.random(len(settings.names) + 1) >= settings.drop).astype(np.float32)
        return {**view, "listener": torch.stack([clip.emotion[start:start + window] for clip in clips]),
                "before": torch.stack(before), "before_known": (torch.arange(window) >= window - known).float(),
                "t": torch.tensor(int(stream.integers(STEPS))), "keep": torch.from_numpy(keep),
                "noise": torch.randn(count, window, ATTRIBUTES, generator=noise),
                "latent_noise": torch.randn(count, 1, self.latent, generator=noise)}


class GeneratorTask:
    """As published, all listeners of a window share its noise level."""

    name = "generator"

    def __init__(self, settings: GeneratorSettings, examples: Examples, earlier: Mapping[str, Path], seed: int) -> None:
        tensors, meta = earlier_model(earlier, "embedders")
        embedding: EmbedderSettings = stored_settings(EmbedderSettings, meta["model"], earlier["embedders"])
        seeded(seed)
        self.settings, self.examples, self.seed = settings, examples, seed
        self.network = Generator(embedding, settings)
        fill(self.network.embedders, tensors, str(earlier["embedders"]))
        self.windows = Windows(examples, embedding.window, self.network.latent, settings, seed)
        self.meta = {**describe(NAME, self.name, settings, examples), "embedders": meta["model"]}

    def __len__(self) -> int:
        return len(self.examples)

    def batch(self, samples: Sequence[int]) -> Batch:
        rows = [self.windows.draw(sample, self._listeners(sample)) for sample in samples]
        return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}

    def _listeners(self, sample: int) -> list[ClipId]:
        """``appropriate`` listeners that suit the speaker: all different while there are enough."""
        split, stream = self.examples.split, numpy_stream(self.seed, "listeners", sample)
        choice = np.array([self.examples.target_of(self.windows.item(sample), stream).index])
        if self.settings.appropriate > 1:
            suits = split.neighbours(self.windows.item(sample).index)
            count = self.settings.appropriate - 1
            rounds = [stream.permutation(suits) for _ in range(-(-count // len(suits)))]
            choice = np.concatenate([choice, *rounds])[:count + 1]
        return [split.items[int(index)].listener for index in choice]

    def loss(self, batch: Batch, samples: Sequence[int]) -> dict[str, Tensor]:
        return self.network.loss(batch)


def build_generator(settings: GeneratorSettings, examples: Examples, earlier: Mapping[str, Path], seed: int) -> GeneratorTask:
    return GeneratorTask(settings, examples, earlier, seed)
