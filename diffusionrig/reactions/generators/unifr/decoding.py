"""Making the words of a clip: masked, in passes over all of it (offline); chunk after chunk (online)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from diffusionrig.reactions.generators.unifr.attention import PER_FRAME, SPEAKER, Past, Places
from diffusionrig.reactions.generators.unifr.inputs import Inputs, cut, delayed
from diffusionrig.reactions.generators.unifr.network import Logits, UnifiedTransformer
from diffusionrig.reactions.generators.unifr.sampling import Decoding, draw_words, uniforms

Words = tuple[Tensor, Tensor]
"""Words (K, T, 3) int64 and the logarithms of their probabilities (K, T, 3), float64, as they were drawn."""


def masked_after(step: int, steps: int, words: int) -> int:
    """How many of ``words`` are still masked after the ``step``-th of ``steps``, on a cosine: 0 after the last."""
    return round(words * math.cos(math.pi / 2 * step / steps))


def least_certain(confidence: Tensor, count: int, ties_hide: bool = False) -> Tensor:
    """(K, W) bool: the ``count`` words of lowest confidence in each row, of equally certain ones the first.

    ``ties_hide`` hides all that are as certain as the last of them too, as published; where every draw is certain, that is all.
    """
    if not count:
        return torch.zeros_like(confidence, dtype=torch.bool)
    if ties_hide:
        return confidence <= confidence.sort(-1).values[:, count - 1:count]
    order = confidence.sort(dim=-1, stable=True).indices[:, :count]
    return torch.zeros_like(confidence, dtype=torch.bool).scatter(-1, order, True)


@torch.no_grad()
def decode_offline(network: UnifiedTransformer, inputs: Inputs, decoding: Decoding, k: int, seed: int, clip: str,
                   compat: bool = False) -> Words:
    """K reactions to a clip whose inputs are (1, T, ...); all words are drawn in every pass, the most certain ones kept."""
    frames, device = inputs["sound"].shape[1], inputs["sound"].device
    words = torch.zeros(k, frames, 3, dtype=torch.long, device=device)
    chance = torch.ones(k, frames, 3, dtype=torch.float64, device=device)
    shown = torch.zeros_like(words, dtype=torch.bool)
    many = {name: value.expand(k, *value.shape[1:]) for name, value in inputs.items()}
    for step in range(1, decoding.steps + 1):
        logits = network.words_offline(network.offline(many, network.listener_tokens(words, shown)))
        cooling = 1 - (step - 1) / decoding.steps if decoding.decay else 1.0
        drawn, certain = draw_words(logits, decoding, uniforms(seed, clip, k, step, frames, device), cooling)
        # Stream after stream, as the published order of equally certain words.
        pooled = certain.masked_fill(shown, torch.inf).transpose(1, 2).flatten(1)
        hidden = least_certain(pooled, masked_after(step, decoding.steps, 3 * frames), compat)
        added = ~hidden.unflatten(1, (3, frames)).transpose(1, 2) & ~shown
        words, chance, shown = torch.where(added, drawn, words), torch.where(added, certain.double(), chance), shown | added
    return words, chance.log()


class OnlineDecoder:
    """Makes words chunk by chunk, while the speaker is heard; keys and values of what was told are kept.

    One pass a chunk: it tells the words of the chunk before and asks for those of this one. Of what was told, later chunks see the
    speaker tokens only, so only theirs are kept, and with a ``context`` only as many as can still be seen.
    """

    def __init__(self, network: UnifiedTransformer, chunk: int, decoding: Decoding, k: int) -> None:
        self.network, self.chunk, self.decoding, self.k = network, chunk, decoding, k
        self.frame = 0
        self._past: list[Past] | None = None
        self._past_places: Places | None = None
        self._before: tuple[Tensor, Tensor] | None = None  # speaker tokens and words of the chunk before

    @torch.no_grad()
    def push(self, inputs: Inputs, uniform: Tensor) -> Words:
        """The words of the next chunk: inputs (1, C, ...), already delayed, and numbers (K, C, 3) of [0, 1)."""
        network, count, device = self.network, inputs["sound"].shape[1], inputs["sound"].device
        speaker = network.speaker_tokens(inputs).expand(self.k, -1, -1, -1)
        stop = self.frame + count
        places = Places.of_frames(self.frame, stop, asking=True, device=device)
        tokens = torch.cat([speaker, network.masked_tokens(self.k, count).to(speaker.dtype)], -2).flatten(1, 2)
        told = 0
        if self._before is not None:
            shown, words = self._before
            listener = network.listener_tokens(words, torch.ones_like(words, dtype=torch.bool))
            tokens = torch.cat([torch.cat([shown, listener], -2).flatten(1, 2), tokens], 1)
            places = Places.of_frames(self.frame - words.shape[1], self.frame, asking=False, device=device) + places
            told = words.shape[1] * PER_FRAME
        states, made = network.causal(tokens, places, self.chunk, self.decoding.context, past=self._past,
                                      past_places=self._past_places)
        self._keep(made, places, told, stop)
        words, certain = draw_words(network.words_online(states[:, told:]), self.decoding, uniform)
        self._before, self.frame = (speaker, words), stop
        return words, certain.double().log()

    def _keep(self, made: list[Past], places: Places, told: int, stop: int) -> None:
        """Add the speaker tokens among the first ``told`` to what is kept, and let go of what no later chunk can see."""
        if not told:
            return
        own = (places.kind[:told] < SPEAKER).nonzero()[:, 0]
        new = places[own]
        grown = [(key[:, :, own], value[:, :, own]) for key, value in made]
        if self._past is not None and self._past_places is not None:
            new = self._past_places + new
            grown = [(torch.cat([old[0], key], 2), torch.cat([old[1], value], 2)) for old, (key, value) in zip(self._past, grown)]
        if self.decoding.context:
            gone = slice(int((new.frame < stop - self.decoding.context).sum()), None)
            new, grown = new[gone], [(key[:, :, gone], value[:, :, gone]) for key, value in grown]
        self._past, self._past_places = grown, new


def decode_online(network: UnifiedTransformer, inputs: Inputs, decoding: Decoding, k: int, seed: int, clip: str, chunk: int,
                  delay: int) -> Words:
    """K reactions to a clip whose inputs are (1, T, ...); the words of a frame depend on frames before the end of its chunk, less
    ``delay``."""
    frames = inputs["sound"].shape[1]
    heard, uniform = delayed(inputs, delay), uniforms(seed, clip, k, 0, frames, inputs["sound"].device)
    decoder = OnlineDecoder(network, chunk, decoding, k)
    made = [decoder.push(cut(heard, first, chunk), uniform[:, first:first + chunk]) for first in range(0, frames, chunk)]
    return torch.cat([words for words, _ in made], 1), torch.cat([chance for _, chance in made], 1)


@torch.no_grad()
def decode_online_anew(network: UnifiedTransformer, inputs: Inputs, decoding: Decoding, k: int, seed: int, clip: str, chunk: int,
                       delay: int, restart: bool = True) -> Words:
    """The same without anything kept: for every chunk the whole window is read again. With ``restart`` positions begin at 0 in
    every window, as published."""
    frames, device = inputs["sound"].shape[1], inputs["sound"].device
    heard, uniform = delayed(inputs, delay), uniforms(seed, clip, k, 0, frames, device)
    words = torch.zeros(k, frames, 3, dtype=torch.long, device=device)
    chance = torch.zeros(k, frames, 3, dtype=torch.float64, device=device)
    for first in range(0, frames, chunk):
        stop = min(first + chunk, frames)
        start = max(0, stop - decoding.context) if decoding.context else 0
        logits = _window(network, cut(heard, start, stop - start), words[:, start:stop], first - start, chunk,
                         0 if restart else start)
        words[:, first:stop], drawn = draw_words(logits, decoding, uniform[:, first:stop])
        chance[:, first:stop] = drawn.double().log()
    return words, chance


def _window(network: UnifiedTransformer, inputs: Inputs, words: Tensor, known: int, chunk: int, start: int) -> Logits:
    """Logits of the last chunk of a window in which the words of the first ``known`` frames are told. As published, chunks are
    counted from the beginning of the window, and the last one's tokens stand for both telling and asking."""
    shown = torch.zeros_like(words, dtype=torch.bool)
    shown[:, :known] = True
    speaker = network.speaker_tokens(inputs).expand(len(words), -1, -1, -1)
    tokens = torch.cat([speaker, network.listener_tokens(words, shown)], -2).flatten(1, 2)
    places = Places.of_frames(0, words.shape[1], asking=False, device=words.device)
    states, _ = network.causal(tokens, places, chunk, start=start)
    return network.words_online(states[:, known * PER_FRAME:])
