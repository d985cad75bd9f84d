"""The generic generator: frozen embedders, prior and denoiser. What it is told of the speaker, its loss, and its samples."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from diffusionrig.diffusion.schedule import gather
from diffusionrig.reactions.generators.perfrdiff.denoiser import PRIVATE, Denoiser
from diffusionrig.reactions.generators.perfrdiff.diffusion import (
    Cleaning,
    guided,
    sampled,
    sampling_schedule,
    training_schedule,
)
from diffusionrig.reactions.generators.perfrdiff.embedder import Embedders
from diffusionrig.reactions.generators.perfrdiff.prior import PriorNetwork
from diffusionrig.reactions.generators.perfrdiff.settings import EmbedderSettings, GeneratorSettings
from diffusionrig.reactions.generators.perfrdiff.shifts import Shifts
from diffusionrig.reactions.interface import ATTRIBUTES, COEFFICIENTS

Tokens = dict[str, Tensor]


@dataclasses.dataclass(frozen=True)
class Noise:
    """Starting noise of windows: ``frames`` (W, K, w, 25) and ``latent`` (W, K, 1, latent)."""

    frames: Tensor
    latent: Tensor


class Generator(nn.Module):
    """GAFRG. A batch is G windows, of K listeners each."""

    def __init__(self, embedding: EmbedderSettings, settings: GeneratorSettings) -> None:
        super().__init__()
        self.embedding, self.settings = embedding, settings
        self.latent = embedding.hidden if settings.compat else embedding.latent
        self.embedders = Embedders(embedding.audio, embedding.hidden, embedding.latent, embedding.mlp).requires_grad_(False)
        sizes = {"audio": embedding.audio, "face": COEFFICIENTS, "emotion": ATTRIBUTES, "latent": self.latent, "prior": self.latent,
                 "past": ATTRIBUTES}
        self.denoiser = Denoiser(ATTRIBUTES, settings.width, settings.layers, settings.heads, settings.feed_forward,
                                 settings.dropout, {name: sizes[name] for name in settings.names}, settings.audio_scale,
                                 settings.positions)
        self.denoiser.align(settings.windows * embedding.window, settings.past * embedding.window)
        self.prior = PriorNetwork(self.latent, settings.prior_depth, settings.prior_heads, settings.prior_head, embedding.audio,
                                  COEFFICIENTS, settings.windows * embedding.window, settings.windows) if settings.prior else None
        if self.prior is not None and settings.prior_guidance <= 1:
            self.prior.fix_nulls()
        self._schedule = training_schedule()

    def train(self, mode: bool = True) -> Generator:
        """The embedders stay as they are in use."""
        super().train(mode)
        self.embedders.eval()
        return self

    def encoded(self, emotion: Tensor) -> Tensor:
        """Scaled attributes (..., w, 25) -> (..., latent)."""
        vae, rows = self.embedders.emotion, emotion.flatten(0, -3)
        return (vae.last_state(rows) if self.settings.compat else vae.encode(rows)).unflatten(0, emotion.shape[:-2])

    @torch.no_grad()
    def tokens(self, view: Mapping[str, Tensor]) -> Tokens:
        """A view of the speaker (``windows.speaker_view``, batched) -> the conditions it gives, unknown frames zero."""
        scaling, known = self.embedders.scaling, view["known"]
        told = {name: scaling.scaled(name, view[name]) * known[..., None] for name in ("audio", "face", "emotion")}
        window = self.embedding.window
        windows = told["emotion"].unflatten(1, (-1, window))
        whole = known.unflatten(1, (-1, window)).amin(2)
        return {**told, "latent": self.encoded(windows) * whole[..., None]}

    def _clean(self, x: Tensor, view: Tokens, keep: Mapping[str, Tensor] | None, shifts: Shifts | None, t: Tensor) -> Tensor:
        told = {name: view[name] for name in self.denoiser.conditions}
        return self.denoiser(x, t, self.denoiser.memory(told, keep, shifts), shifts)

    def loss(self, batch: Mapping[str, Tensor], shifts: Shifts | None = None) -> dict[str, Tensor]:
        """Mean squared errors of attributes and latents. ``batch``: a view, ``listener`` (G, K, w, 25), ``before`` (G, K, w, 25),
        the window before it, ``t`` (G,), ``noise`` (G, K, w, 25), ``latent_noise`` (G, K, 1, latent) and ``keep`` (G, conditions),
        with the prior's last."""
        scaling, t = self.embedders.scaling, batch["t"]
        clean = scaling.scaled("emotion", batch["listener"])
        tokens = self.tokens(batch)
        with torch.no_grad():
            latent = self.encoded(clean)[:, :, None]
        tokens.update(prior=latent, past=scaling.scaled("emotion", batch["before"]) * batch["before_known"][:, None, :, None])
        keep = {name: batch["keep"][:, index] for index, name in enumerate(self.denoiser.conditions)} if self.training else None
        made = self._clean(self._noisy(clean, batch["noise"], t), tokens, keep, shifts, t)
        terms = {"attributes": (made - clean).square().mean()}
        loss = terms["attributes"]
        if self.prior is not None and shifts is None:
            told = batch["keep"][:, -1].bool() if self.settings.prior_guidance > 1 else None
            guess = self.prior(self._noisy(latent, batch["latent_noise"], t), t, self.prior.prefix(tokens, told))
            terms["latent"] = (guess - latent).square().mean()
            loss = loss + self.settings.prior_weight * terms["latent"]
        return {"loss": loss, **terms}

    def _noisy(self, clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        level = gather(self._schedule.abar, t, clean)
        return level.sqrt() * clean + (1 - level).sqrt() * noise

    @torch.no_grad()
    def sample(self, view: Mapping[str, Tensor], noise: Noise, shifts: Shifts | None = None) -> Tensor:
        """Attributes (W, K, w, 25) of the windows in ``view``, all at once; one after another when the denoiser is told the
        listener's window before."""
        tokens = self.tokens(view)
        if self.prior is not None and "prior" in self.denoiser.conditions:
            tokens["prior"] = self._latents(tokens, noise.latent)
        if "past" not in self.denoiser.conditions:
            made = self._denoised(tokens, noise.frames, shifts)
        else:
            rows: list[Tensor] = []
            for index in range(len(noise.frames)):
                own = {name: value[index:index + 1] for name, value in tokens.items()}
                own["past"] = rows[-1] if rows else torch.zeros_like(noise.frames[:1])
                rows.append(self._denoised(own, noise.frames[index:index + 1], shifts))
            made = torch.cat(rows)
        return self.embedders.scaling.natural("emotion", made)

    def _denoised(self, tokens: Tokens, noise: Tensor, shifts: Shifts | None) -> Tensor:
        settings, denoiser = self.settings, self.denoiser
        told = {name: tokens[name] for name in denoiser.conditions}
        memory = denoiser.memory(told, None, shifts)

        def clean(x: Tensor, t: Tensor) -> Tensor:
            return denoiser(x, t, memory, shifts)

        step: Cleaning = clean
        if settings.guidance != 1:
            # One blind memory serves all windows: what is left out is the same zero everywhere.
            none = {name: value[:1] for name, value in told.items()}
            if any(name in PRIVATE for name in none):
                none = told
            nothing = denoiser.memory(none, {name: noise.new_zeros(1) for name in none}, shifts)
            step = guided(clean, lambda x, t: denoiser(x, t, nothing, shifts), settings.guidance)
        return sampled(step, noise, sampling_schedule(settings.steps, settings.compat), settings.clip)

    def _latents(self, tokens: Tokens, noise: Tensor) -> Tensor:
        prior, scale = self.prior, self.settings.prior_guidance
        assert prior is not None
        prefix = prior.prefix(tokens)

        def clean(x: Tensor, t: Tensor) -> Tensor:
            return prior(x, t, prefix)

        step: Cleaning = clean
        if scale > 1:
            nothing = prior.prefix(tokens, torch.zeros(len(noise), dtype=torch.bool, device=noise.device))
            step = guided(clean, lambda x, t: prior(x, t, nothing), scale)
        compat = self.settings.compat
        return sampled(step, noise, sampling_schedule(self.settings.steps, compat), 1.0 if compat else 0.0)
