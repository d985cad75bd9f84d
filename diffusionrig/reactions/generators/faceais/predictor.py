"""The predictor: what the speaker shows and says, and the listener's own past, to the listener's next patch of face tokens.

Six stacks as published, but with the causal structure of ``masks`` at every attention and with fusion in which either stream learns
from the other (``CrossModalBlock`` each way): 1. speech and 2. face of the speaker, 3. both fused; 4. the listener's past, 5. the
speaker again, 6. both fused. The head knows face tokens alone, so nothing else can be drawn.

A patch is filled in several draws, each seeing what was drawn before (a "draft"), since frames drawn independently of one another
jitter. Which tokens are in the draft while training is in ``predictor_task``.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from diffusionrig.reactions.generators.faceais.blocks import Block, Cache, CrossModalBlock, Rotation, initialise
from diffusionrig.reactions.generators.faceais.settings import SOUNDS, PredictorSettings

PAD, MASK, SPECIALS = 0, 1, 2
"""Tokens of no frame: of the patch before the first; hidden, or not drawn yet. Face token f stands as f + 2 in the embeddings."""

LOGMEL_CENTRE, LOGMEL_SCALE = -14.0, 9.0
"""Silence, ln 1e-10 = -23, comes to -1, loud speech to 1."""


def sound_numbers(sound: Tensor, kind: str) -> Tensor:
    """Features as stored -> of size 1."""
    return (sound - LOGMEL_CENTRE) / LOGMEL_SCALE if kind == "logmel26" else sound


class Fusion(nn.Module):
    """Two streams learn from each other: x from y and y from x, both as they come in. The last one may have no use for a new y."""

    def __init__(self, settings: PredictorSettings, last: bool = False) -> None:
        super().__init__()
        self.x = CrossModalBlock(settings.build, settings.gate)
        self.y = None if last else CrossModalBlock(settings.build, settings.gate)

    def forward(self, x: Tensor, y: Tensor, mask: Tensor | None, rotation: Rotation, caches: Caches | None = None
                ) -> tuple[Tensor, Tensor]:
        made = self.x(x, y, mask, mask, rotation, _pair(caches))
        return made, y if self.y is None else self.y(y, x, mask, mask, rotation, _pair(caches))


@dataclasses.dataclass
class Caches:
    """The caches of a part of the network, in the order in which its attentions run."""

    limit: int
    held: list[Cache] = dataclasses.field(default_factory=list)
    _next: int = 0

    def one(self) -> Cache:
        if self._next == len(self.held):
            self.held.append(Cache(self.limit))
        self._next += 1
        return self.held[self._next - 1]

    def rewind(self) -> None:
        """Before a pass."""
        self._next = 0

    def keep(self) -> None:
        """Settle the patch of the last pass."""
        for cache in self.held:
            cache.keep()


def _pair(caches: Caches | None) -> tuple[Cache | None, Cache | None]:
    return (None, None) if caches is None else (caches.one(), caches.one())


class Speaker(nn.Module):
    """Stacks 1 to 3: what is known of the speaker, (B, T, C)."""

    def __init__(self, settings: PredictorSettings, tokens: int) -> None:
        super().__init__()
        width, layers = settings.width, settings.layers
        self.settings = settings
        numbers, rate = SOUNDS[settings.sound]
        self.wte = nn.Embedding(tokens + SPECIALS, width)
        self.wpe = nn.Embedding(settings.patch, width)
        self.sound_in = nn.Linear(numbers * rate, width)
        self.silence = nn.Parameter(torch.zeros(width))
        self.drop = nn.Dropout(settings.dropout)
        self.h_sound = nn.ModuleList([Block(settings.build) for _ in range(layers)])
        self.h_face = nn.ModuleList([Block(settings.build) for _ in range(layers)])
        self.h = nn.ModuleList([Fusion(settings) for _ in range(layers)])
        self.ln_f = nn.LayerNorm(width)
        self.ln_s = nn.LayerNorm(width)
        self.join = nn.Linear(2 * width, width)

    def forward(self, face: Tensor, sound: Tensor, unheard: Tensor, mask: Tensor | None, rotation: Rotation,
                caches: Caches | None = None) -> Tensor:
        """face (B, T) tokens with specials; sound (B, T, D); unheard (B, T) bool, where no sound is to be had."""
        place = self.wpe.weight.repeat(face.shape[1] // self.settings.patch, 1)
        heard = torch.where(unheard[..., None], self.silence, self.sound_in(sound_numbers(sound, self.settings.sound)))
        x, y = self.drop(self.wte(face) + place), self.drop(heard + place)
        if caches is not None:
            caches.rewind()
        for block in self.h_sound:
            y = block(y, mask, rotation, caches and caches.one())
        for block in self.h_face:
            x = block(x, mask, rotation, caches and caches.one())
        for fusion in self.h:
            x, y = fusion(x, y, mask, rotation, caches)
        return self.join(torch.cat([self.ln_f(x), self.ln_s(y)], 2))


class Listener(nn.Module):
    """Stacks 4 to 6: logits of the listener's tokens (B, T, tokens)."""

    def __init__(self, settings: PredictorSettings, tokens: int) -> None:
        super().__init__()
        width, layers = settings.width, settings.layers
        self.settings = settings
        self.wte = nn.Embedding(tokens + SPECIALS, width)
        self.wte_draft = nn.Embedding(tokens + SPECIALS, width)
        self.wpe = nn.Embedding(settings.patch, width)
        self.drop = nn.Dropout(settings.dropout)
        self.h_listener = nn.ModuleList([Block(settings.build) for _ in range(layers)])
        self.h_speaker = nn.ModuleList([Block(settings.build) for _ in range(layers)])
        self.h = nn.ModuleList([Fusion(settings, last=number == layers - 1) for number in range(layers)])
        self.ln_f = nn.LayerNorm(width)
        self.lm_head = nn.Linear(width, tokens, bias=False)

    def regard(self, speaker: Tensor, mask: Tensor | None, rotation: Rotation, caches: Caches | None = None) -> Tensor:
        """Stack 5, which does not depend on what is drawn: (B, T, C) of ``Speaker`` -> (B, T, C)."""
        if caches is not None:
            caches.rewind()
        for block in self.h_speaker:
            speaker = block(speaker, mask, rotation, caches and caches.one())
        return speaker

    def forward(self, past: Tensor, draft: Tensor, speaker: Tensor, mask: Tensor | None, rotation: Rotation,
                caches: Caches | None = None) -> Tensor:
        """past (B, T): the patch before; draft (B, T): what has been drawn of the patch itself; both tokens with specials.
        ``speaker`` is as ``regard`` gives it."""
        place = self.wpe.weight.repeat(past.shape[1] // self.settings.patch, 1)
        x, y = self.drop(self.wte(past) + self.wte_draft(draft) + place), speaker
        if caches is not None:
            caches.rewind()
        for block in self.h_listener:
            x = block(x, mask, rotation, caches and caches.one())
        for fusion in self.h:
            x, y = fusion(x, y, mask, rotation, caches)
        return self.lm_head(self.ln_f(x))


class ReactPredictor(nn.Module):
    """Both halves. The first depends on the speaker alone, so K reactions share it."""

    def __init__(self, settings: PredictorSettings, tokens: int, seed: int | None = None) -> None:
        """Without a ``seed`` weights stay as torch draws them, for loading."""
        super().__init__()
        self.settings, self.tokens = settings, tokens
        self.speaker, self.listener = Speaker(settings, tokens), Listener(settings, tokens)
        if seed is not None:
            initialise(self, settings.layers, settings.init, seed, "faceais predictor")

    def rotation(self, first: int, patches: int) -> Rotation:
        """Positions of ``patches`` patches from patch number ``first`` on."""
        settings = self.settings
        return Rotation(first * settings.patch, patches * settings.patch, settings.width // settings.heads, self.speaker.silence)

