"""A causal denoiser of listener motion, patch after patch: what the listener showed before and what the speaker showed up to a
patch's beginning tell how the patch is denoised (block diffusion, Arriola et al. 2025; the noise as in progressive distillation,
Salimans and Ho 2022, x = cos(phi) clean + sin(phi) noise and v = cos(phi) noise - sin(phi) clean)."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor, nn

from diffusionrig.reactions.features.logmel import BANDS
from diffusionrig.reactions.generators.stream.blocks import Block
from diffusionrig.reactions.generators.stream.past import Past
from diffusionrig.reactions.generators.stream.settings import StreamSettings
from diffusionrig.reactions.interface import ATTRIBUTES, COEFFICIENTS

SHOWN = ATTRIBUTES + COEFFICIENTS
"""Numbers of a listener's frame: attributes, then coefficients less the mean face."""
SEEN = SHOWN + BANDS
"""Numbers of a speaker's frame: the same, then log mel energies."""

PERIODS = (8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)
"""Frames of the waves that tell how far a clip has come: attention sees distances alone."""


class StreamNetwork(nn.Module):
    """``mean``, ``scale`` (SEEN,) standardise frames; ``mean_face`` (58,) is what coefficients were taken less by; ``between``,
    ``within`` (SHOWN,) are variances of resting faces: between people, and between clips of one person."""

    mean: Tensor
    scale: Tensor
    mean_face: Tensor
    between: Tensor
    within: Tensor

    def __init__(self, settings: StreamSettings) -> None:
        super().__init__()
        width = settings.width
        self.settings = settings
        self.register_buffer("mean", torch.zeros(SEEN))
        self.register_buffer("scale", torch.ones(SEEN))
        self.register_buffer("mean_face", torch.zeros(COEFFICIENTS))
        self.register_buffer("between", torch.ones(SHOWN))
        self.register_buffer("within", torch.zeros(SHOWN))
        self.listener = nn.Linear(SHOWN, width)
        self.speaker = nn.Sequential(nn.Linear(SEEN, width), nn.GELU(), nn.Linear(width, width))
        self.story = nn.GRU(width, width, batch_first=True)
        self.level = nn.Sequential(nn.Linear(16, width), nn.GELU(), nn.Linear(width, width))
        self.clock = nn.Linear(2 * len(PERIODS), width)
        self.person = nn.Sequential(nn.Linear(2 * SHOWN, settings.person, bias=False), nn.Tanh())
        self.blocks = nn.ModuleList(Block(width, settings.heads, settings.dropout, settings.rank, settings.person)
                                    for _ in range(settings.layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, SHOWN)
        self.lean = nn.Linear(settings.person, SHOWN, bias=False)
        self.drop = nn.Dropout(settings.dropout)
        for layer in (self.head, self.lean):
            nn.init.zeros_(layer.weight)

    def describe(self, history: list[Tensor]) -> Tensor:
        """Standardised clips (T', SHOWN) of one listener -> (2 SHOWN,): the resting face, and the spread of all frames.

        The rest is the mean of the clips' medians, drawn towards the mean of all people as far as so many clips say little about a
        person: by between / (between + within / clips), the least squares shrinkage of James and Stein.
        """
        middle = torch.stack([resting(clip) for clip in history]).mean(0)
        trust = self.between / (self.between + self.within / len(history)).clamp_min(1e-9)
        return torch.cat([trust.to(middle) * middle, torch.stack([clip.std(0) for clip in history]).mean(0)])

    @staticmethod
    def rest(traits: Tensor) -> Tensor:
        """(..., 2 SHOWN) -> (..., SHOWN): the resting face, from which reactions are counted. Nobody in particular (zeros) rests at
        the mean of all."""
        return traits[..., :SHOWN]

    def listen(self, speaker: Tensor, story: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Standardised frames (B, T, SEEN) that follow ``story`` (1, B, width) -> tokens (B, T, width), each of what was shown up
        to its frame, and the story so far."""
        tokens = self.speaker(speaker)
        told, story = self.story(self.drop(tokens), story)
        return tokens + self.drop(told), story

    def heard(self, speaker: Tensor) -> Tensor:
        """Standardised frames (B, T, SEEN) -> tokens (B, T, width); frame t carries what was shown up to a patch earlier, so that a
        patch is told of nothing that happens after its beginning. The first patch is told nothing."""
        tokens, _ = self.listen(speaker)
        late = torch.zeros_like(tokens)
        late[:, self.settings.patch:] = tokens[:, :-self.settings.patch]
        return late

    def tokens(self, frames: Tensor, phi: Tensor, heard: Tensor, place: Tensor) -> Tensor:
        """Listener frames (B, T, SHOWN) number ``place`` (T,) of their clip, less the person's rest, at noise angles (B, T), with
        what was heard (B, T, width) -> (B, T, width)."""
        waves = phi[..., None] * (2.0 ** torch.arange(8, device=phi.device, dtype=phi.dtype))
        hands = place.float()[:, None] * (2 * math.pi / torch.tensor(PERIODS, device=place.device))
        level, clock = (torch.cat([angle.sin(), angle.cos()], -1).to(frames.dtype) for angle in (waves, hands))
        return self.drop(self.listener(frames) + self.level(level) + self.clock(clock) + heard)

    def velocity(self, clean: Tensor, noisy: Tensor, phi: Tensor, heard: Tensor, traits: Tensor, hide_past: Tensor) -> Tensor:
        """All patches of (B, T, SHOWN), less each person's rest, at once, each after its true past ``clean``; phi (B, T), traits
        (B, 2 SHOWN), hide_past (B,) bool. Two copies of the sequence run side by side: the clean one, and the noisy one that looks
        at it."""
        length = clean.shape[1]
        person = self.person(traits)
        place = torch.arange(length, device=clean.device)
        x = torch.cat([self.tokens(clean, torch.zeros_like(phi), heard, place), self.tokens(noisy, phi, heard, place)], 1)
        place = place.repeat(2)
        mask = self.mask(length, x.device)[None, None].expand(len(x), 1, -1, -1).clone()
        # A noisy frame without a past still sees what was heard: through the tokens of its own patch.
        mask[hide_past, :, length:, :length] = False
        for block in self.blocks:
            x = block(x, person, place, mask)
        return self.out(x[:, length:], person)

    def mask(self, length: int, device: torch.device) -> Tensor:
        """(2 T, 2 T) True where frame (row) may look at frame (column), clean copies first."""
        patch = torch.arange(length, device=device) // self.settings.patch
        row, column = patch[:, None], patch[None]
        near = row - column <= max(1, self.settings.memory // self.settings.patch) if self.settings.memory else row >= 0
        clean, before, same = (column <= row) & near, (column < row) & near, column == row
        return torch.cat([torch.cat([clean, torch.zeros_like(clean)], 1), torch.cat([before, same], 1)], 0)

    def out(self, x: Tensor, person: Tensor) -> Tensor:
        """Tokens (B, T, width) -> velocities (B, T, SHOWN)."""
        return self.head(self.norm(x)) + self.lean(person)[:, None]

    def run(self, frames: Tensor, phi: float, heard: Tensor, person: Tensor, start: int, past: Past) -> Tensor:
        """One patch (B, p, SHOWN) from frame ``start`` on, after the ``past``, behind which its keys and values then lie; returns
        its velocities."""
        place = torch.arange(start, start + frames.shape[1], device=frames.device)
        x = self.tokens(frames, torch.full(frames.shape[:2], phi, device=frames.device), heard, place)
        for number, block in enumerate(self.blocks):
            x = block(x, person, place, None, partial(past.joined, number))
        return self.out(x, person)


def resting(clip: Tensor) -> Tensor:
    """The median frame (C,) of (T, C), which passing expressions do not move."""
    return clip.median(0).values


def angles(steps: int) -> list[float]:
    """Noise angles of the denoising steps, from nearly pi / 2 (noise alone) to 0: evenly spaced."""
    return [0.5 * math.pi * (1 - step / steps) for step in range(steps)] + [0.0]


def step_down(noisy: Tensor, velocity: Tensor, phi: float, lower: float) -> Tensor:
    """DDIM from angle ``phi`` to ``lower``: cos(lower) clean + sin(lower) noise, with the clean and the noise that x and v mean."""
    clean = math.cos(phi) * noisy - math.sin(phi) * velocity
    noise = math.sin(phi) * noisy + math.cos(phi) * velocity
    return math.cos(lower) * clean + math.sin(lower) * noise
