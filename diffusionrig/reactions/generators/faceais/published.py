"""The predictor as published, for its released weights and its numbers (``predictor.compat``). Kept on purpose, and why:

- fusion has one stream: after its first block both inputs are the same tensor, gated by a scalar that begins at 0;
- attention is not causal, so training sees most of its targets in the input;
- a context of 256 frames slides, padded on the left, positions counted within it; all of it is computed anew for every patch;
- when nothing of a stream may be seen, attention spreads evenly over its padding;
- in mode offline a patch also sees the speaker's frame at which it begins, whose token knows the rest of its block.

Not kept: masks mix neither rows nor heads; special tokens and tokens of no face are never drawn; the k likeliest are those of
each row; all frames are made; samples stay with their clips; in mode online the speaker's context ends one frame earlier, so that
no frame is known before it is shown.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from diffusionrig.randomness import torch_stream
from diffusionrig.reactions.generators.faceais.blocks import Block, CrossModalBlock, initialise
from diffusionrig.reactions.generators.faceais.predictor import PAD, SPECIALS, sound_numbers
from diffusionrig.reactions.generators.faceais.sampling import draw
from diffusionrig.reactions.generators.faceais.settings import SOUNDS, PredictorSettings

SOUND_TOKENS = 320
"""Entries of the table for vq-wav2vec tokens, which nothing reads where sound comes as vectors."""


class PublishedPredictor(nn.Module):
    """Published names and sizes: 86.09 million parameters at width 360 with 8 layers, the two that nothing reads among them."""

    def __init__(self, settings: PredictorSettings, tokens: int, seed: int | None = None) -> None:
        """Without a ``seed`` weights stay as torch draws them, for loading."""
        super().__init__()
        self.settings, self.tokens = settings, tokens
        width, context, build = settings.width, settings.context, settings.build
        numbers, self.rate = SOUNDS[settings.sound]
        vocabulary = (settings.vocabulary or tokens) + SPECIALS

        def blocks() -> nn.ModuleList:
            return nn.ModuleList([Block(build) for _ in range(settings.layers)])

        def fusions() -> nn.ModuleList:
            return nn.ModuleList([CrossModalBlock(build, settings.gate) for _ in range(settings.layers)])

        self.sp_cm_transformer = nn.ModuleDict({
            "wte_sound": nn.Embedding(SOUND_TOKENS + SPECIALS, width).requires_grad_(False),
            "wpe_sound": nn.Embedding(context * self.rate, width), "wte_face": nn.Embedding(vocabulary, width),
            "wpw_face": nn.Embedding(context, width), "h_sound": blocks(), "h_face": blocks(), "h": fusions(),
            "ln_f": nn.LayerNorm(width).requires_grad_(False)})
        self.wav2vec2_c_proj = nn.Linear(numbers, width)
        self.lt_cm_transformer = nn.ModuleDict({
            "wte": nn.Embedding(vocabulary, width), "wpe": nn.Embedding(context, width), "h_speaker": blocks(),
            "h_listener": blocks(), "h": fusions(), "ln_f": nn.LayerNorm(width)})
        self.lm_head = nn.Linear(width, vocabulary, bias=False)
        self.drop = nn.Dropout(settings.dropout)
        if seed is not None:
            initialise(self, settings.layers, settings.init, seed, "faceais published predictor")

    def speaker(self, face: Tensor, sound: Tensor, seen: Tensor) -> Tensor:
        """face (B, context) tokens with specials, sound (B, context, D rate), seen (B, context) bool -> (B, context, C)."""
        part, bias = self.sp_cm_transformer, key_bias(seen)
        vectors = sound_numbers(sound, self.settings.sound).unflatten(2, (self.rate, -1)).flatten(1, 2)
        y = self.drop(self.wav2vec2_c_proj(vectors) + part["wpe_sound"].weight)
        y = functional.max_pool1d(y.transpose(1, 2), self.rate).transpose(1, 2)
        x = self.drop(part["wte_face"](face) + part["wpw_face"].weight)
        for block in part["h_sound"]:  # type: ignore[attr-defined]
            y = block(y, bias)
        for block in part["h_face"]:  # type: ignore[attr-defined]
            x = block(x, bias)
        for block in part["h"]:  # type: ignore[attr-defined]
            x = y = block(x, y, bias, bias)
        for block in self.lt_cm_transformer["h_speaker"]:  # type: ignore[attr-defined]
            x = block(x, bias)
        return x

    def forward(self, past: Tensor, past_seen: Tensor, speaker: Tensor, seen: Tensor) -> Tensor:
        """past (B, context) tokens with specials; what ``speaker`` returned -> logits (B, context, vocabulary)."""
        part, bias, both = self.lt_cm_transformer, key_bias(past_seen), key_bias(past_seen & seen)
        x, y = self.drop(part["wte"](past) + part["wpe"].weight), speaker
        for block in part["h_listener"]:  # type: ignore[attr-defined]
            x = block(x, bias)
        for block in part["h"]:  # type: ignore[attr-defined]
            x = y = block(x, y, bias, both)
        return self.lm_head(part["ln_f"](x))


def key_bias(seen: Tensor) -> Tensor:
    """(B, T) bool -> (B, 1, 1, T), added to scores: -inf hides a key; where all are hidden a constant so low that scores drown in
    it, which makes attention even."""
    hidden = torch.where(seen.any(1, keepdim=True), -torch.inf, torch.finfo(torch.float32).min)
    return torch.where(seen, torch.zeros_like(hidden), hidden)[:, None, None, :]


def left_padded(stream: Tensor, length: int, empty: float | int = PAD) -> tuple[Tensor, Tensor]:
    """The last ``length`` of (B, T, ...), with ``empty`` in front where there are fewer; and which of them are real (B, length)."""
    stream = stream[:, max(0, stream.shape[1] - length):]
    missing = length - stream.shape[1]
    padding = stream.new_full((len(stream), missing, *stream.shape[2:]), empty)
    real = torch.arange(length, device=stream.device).expand(len(stream), -1) >= missing
    return torch.cat([padding, stream], 1), real


@torch.no_grad()
def windowed(predictor: PublishedPredictor, face: Tensor, sound: Tensor, name: str, k: int, seed: int, lag: int) -> Tensor:
    """Face tokens (T,) and sound (T, D) of the speaker, whole patches -> the listeners' tokens (K, T). The speaker is seen up to
    ``lag`` frames before a patch begins: 1, or 0 for its first frame too."""
    settings, device = predictor.settings, face.device
    past = torch.empty(k, 0, dtype=torch.long, device=device)
    for first in range(0, len(face), settings.patch):
        end = first + 1 - lag
        window, seen = left_padded(face[None, :end] + SPECIALS, settings.context)
        speaker = predictor.speaker(window, left_padded(sound[None, :end], settings.context, 0.0)[0], seen)
        own, own_seen = left_padded(past + SPECIALS, settings.context)
        logits = predictor(own, own_seen, speaker.expand(k, -1, -1), seen.expand(k, -1))
        logits = logits[:, -settings.patch:, SPECIALS:SPECIALS + predictor.tokens]
        uniform = torch.stack([torch.rand(settings.patch, generator=torch_stream("faceais", seed, name, number, first))
                               for number in range(k)]).to(device)
        past = torch.cat([past, draw(logits, uniform, settings.temperature, settings.top_k)[0]], 1)
    return past
