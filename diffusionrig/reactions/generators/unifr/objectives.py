"""The three objectives: do the two belong together, which words are masked, which words come next."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from diffusionrig.reactions.generators.unifr.attention import PER_FRAME, Places
from diffusionrig.reactions.generators.unifr.inputs import Inputs, delayed
from diffusionrig.reactions.generators.unifr.network import Logits, UnifiedTransformer
from diffusionrig.reactions.generators.unifr.vocabulary import STREAMS

OBJECTIVES = ("matching", "masked", "causal")


def draw_mask(frames: int, stream: np.random.Generator) -> Tensor:
    """(T, 3) bool, which words are shown: of each stream ceil(T cos(pi r / 2)) are masked, r uniform, the same count for the three,
    at places of their own."""
    count = math.ceil(frames * math.cos(math.pi / 2 * stream.random()))
    shown = np.ones((frames, len(STREAMS)), bool)
    for i in range(len(STREAMS)):
        shown[stream.permutation(frames)[:count], i] = False
    return torch.from_numpy(shown)


def matching_loss(network: UnifiedTransformer, inputs: Inputs, words: Tensor, belongs: bool, start: Sequence[int]) -> Tensor:
    """(B,) cross-entropy of the answer whether words (B, T, 3) suit the speaker."""
    listener = network.listener_tokens(words, torch.ones_like(words, dtype=torch.bool))
    answer = network.matching(network.offline(inputs, listener, start, match=True)[:, -1])
    return functional.cross_entropy(answer, torch.full((len(words),), int(belongs), device=words.device), reduction="none")


def masked_loss(network: UnifiedTransformer, inputs: Inputs, words: Tensor, shown: Tensor, counted: Tensor,
                start: Sequence[int]) -> Tensor:
    """(B,) mean cross-entropy over the words ``counted`` (B, T, 3), given those ``shown``; the three streams averaged jointly."""
    logits = network.words_offline(network.offline(inputs, network.listener_tokens(words, shown), start))
    return (_entropies(logits, words) * counted).sum((1, 2)) / counted.sum((1, 2))


def causal_loss(network: UnifiedTransformer, inputs: Inputs, words: Tensor, chunk: int, delay: int, context: int,
                start: Sequence[int], leak: bool) -> Tensor:
    """(B,) mean cross-entropy of every frame's words, given what the speaker showed up to ``delay`` frames before and the words of
    earlier chunks.

    The sequence is read twice at once: once telling, with all words, and once asking, with none; an asking chunk sees itself and
    what was told before it, as it does while decoding. ``leak`` reads the answer from the telling tokens, which see it (as
    published).
    """
    batch, frames = words.shape[:2]
    speaker = network.speaker_tokens(delayed(inputs, delay))
    told = network.listener_tokens(words, torch.ones_like(words, dtype=torch.bool))
    telling = torch.cat([speaker, told], -2).flatten(1, 2)
    places = Places.of_frames(0, frames, asking=False, device=words.device)
    if leak:
        states, _ = network.causal(telling, places, chunk, context, start)
    else:
        asking = torch.cat([speaker, network.masked_tokens(batch, frames).to(speaker.dtype)], -2).flatten(1, 2)
        both = places + Places.of_frames(0, frames, asking=True, device=words.device)
        states, _ = network.causal(torch.cat([telling, asking], 1), both, chunk, context, start)
        states = states[:, frames * PER_FRAME:]
    return _entropies(network.words_online(states), words).mean((1, 2))


def _entropies(logits: Logits, words: Tensor) -> Tensor:
    """(B, T, 3)."""
    return torch.stack([functional.cross_entropy(logits[name].transpose(1, 2), words[..., i], reduction="none")
                        for i, name in enumerate(STREAMS)], -1)
