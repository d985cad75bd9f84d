"""The unified transformer: six tokens a frame, one last token, heads for the words of the listener.

Offline, every token sees every other; online, see ``attention.may_see``. Sizes and initialisation are those of the publication,
but settable; positions are sinusoids of the token's place in the clip, which windows keep.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from diffusionrig.randomness import torch_stream
from diffusionrig.reactions.generators.unifr.attention import PER_FRAME, SPEAKER, Attention, Block, Past, Places, may_see
from diffusionrig.reactions.generators.unifr.inputs import FACE, FRAME, WHOLE, Inputs
from diffusionrig.reactions.generators.unifr.vocabulary import STREAMS

Logits = dict[str, Tensor]
"""Per stream (B, T, words)."""


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Everything that decides the shapes of the weights; ``words`` per stream, ``inputs`` per name."""

    words: Mapping[str, int]
    inputs: Mapping[str, int]
    width: int = 768
    layers: int = 8
    heads: int = 12
    dropout: float = 0.1
    init: float = 0.02


class UnifiedTransformer(nn.Module):
    """Use ``fresh`` for initialised weights."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.width
        self.sizes, self.dropout = sizes, sizes.dropout
        third, half = width // 3, width // 2
        wide = {"exp": third, "AU": third, "VA": width - 2 * third, "functionals": half, "descriptors": width - half}
        self.project = nn.ModuleDict({name: nn.Linear(sizes.inputs[name], wide.get(name, width))
                                      for name in (*FACE, *FRAME, *WHOLE)})
        self.embed = nn.ModuleDict({name: nn.Embedding(sizes.words[name], width) for name in STREAMS})
        self.sort = nn.Parameter(torch.zeros(PER_FRAME, width))  # what each kind of token adds to itself
        self.sort_of_sound = nn.Parameter(torch.zeros(width))  # likewise, the last token's when it tells of the sound
        self.match = nn.Parameter(torch.zeros(width))
        self.faceless = nn.Parameter(torch.zeros(width))
        self.masked = nn.Parameter(torch.zeros(width))
        self.blocks = nn.ModuleList(Block(width, sizes.heads, sizes.dropout) for _ in range(sizes.layers))
        self.norm = nn.LayerNorm(width)
        self.heads = nn.ModuleDict({name: nn.Linear(width, sizes.words[name], bias=False) for name in STREAMS})
        self.matching = nn.Linear(width, 2, bias=False)

    def undecayed(self) -> frozenset[str]:
        """Names of the parameters that weight decay leaves alone: all but the matrices of linear layers."""
        linear = {f"{name}.weight" for name, module in self.named_modules() if isinstance(module, nn.Linear)}
        return frozenset(name for name, _ in self.named_parameters() if name not in linear)

    def speaker_tokens(self, inputs: Inputs) -> Tensor:
        """(B, T, 3, width), without positions."""
        face = torch.cat([self.project[name](inputs[name]) for name in FACE], -1)
        face = torch.where(inputs["face"][..., None], face, self.faceless.to(face.dtype))
        return self._drop(torch.stack([face, *(self.project[name](inputs[name]) for name in FRAME)], -2)) + self.sort[:SPEAKER]

    def listener_tokens(self, words: Tensor, shown: Tensor) -> Tensor:
        """Words (B, T, 3), of which those ``shown`` (B, T, 3) are told and the others masked -> (B, T, 3, width)."""
        told = self._drop(torch.stack([self.embed[name](words[..., i]) for i, name in enumerate(STREAMS)], -2))
        return torch.where(shown[..., None], told, self.masked.to(told.dtype)) + self.sort[SPEAKER:]

    def masked_tokens(self, batch: int, frames: int) -> Tensor:
        """(B, T, 3, width): nothing is known of the listener."""
        return (self.masked + self.sort[SPEAKER:]).expand(batch, frames, -1, -1)

    def sound_token(self, inputs: Inputs) -> Tensor:
        """(B, 1, width): the sound of the whole clip."""
        return (torch.cat([self.project[name](inputs[name]) for name in WHOLE], -1) + self.sort_of_sound)[:, None]

    def offline(self, inputs: Inputs, listener: Tensor, start: int | Sequence[int] = 0, match: bool = False) -> Tensor:
        """States (B, 6 T + 1, width) with every token seeing every other. ``start`` is the first frame's place in the clip (of
        each item); the last token tells of the sound or, with ``match``, asks whether the two belong together."""
        tokens = torch.cat([self.speaker_tokens(inputs), listener], -2).flatten(1, 2)
        last = self.match.expand(len(tokens), 1, -1) if match else self.sound_token(inputs)
        places = torch.arange(tokens.shape[1] + 1, device=tokens.device) + PER_FRAME * _column(start, tokens.device)
        x = torch.cat([tokens, last.to(tokens.dtype)], 1) + positions(places, tokens.shape[-1])
        for block in self.blocks:
            x = block(x, lambda own, tokens: own.both(tokens)[0])
        return self.norm(x)

    def causal(self, x: Tensor, places: Places, chunk: int, context: int = 0, start: int | Sequence[int] = 0,
               past: Sequence[Past] | None = None, past_places: Places | None = None) -> tuple[Tensor, list[Past]]:
        """Tokens (B, N, width) that stand at ``places`` -> states, and the keys and values of every layer. ``past`` are those of
        tokens at ``past_places``, which come before."""
        mask = may_see(places, places if past_places is None else past_places + places, chunk, context)
        x = x + positions(places.index + PER_FRAME * _column(start, x.device), x.shape[-1])
        made: list[Past] = []

        def attend(block: Block, tokens: Tensor) -> Tensor:
            attention: Attention = block.causal
            mixed, own = attention(tokens, mask, past[len(made)] if past is not None else None)
            made.append(own)
            return mixed

        for block in self.blocks:
            x = block(x, attend)
        return self.norm(x), made

    def words_offline(self, states: Tensor) -> Logits:
        """Logits read at the listener's own tokens; ``states`` may end with the last token."""
        frames = states.shape[1] // PER_FRAME
        rows = states[:, :frames * PER_FRAME].unflatten(1, (frames, PER_FRAME))
        return {name: self.heads[name](rows[:, :, SPEAKER + i]) for i, name in enumerate(STREAMS)}

    def words_online(self, states: Tensor) -> Logits:
        """Logits read at the speaker's tokens of the same frame: action units at the face, expression at the pose, valence and
        arousal at the sound."""
        rows = states.unflatten(1, (-1, PER_FRAME))
        return {name: self.heads[name](rows[:, :, i]) for i, name in enumerate(STREAMS)}

    def _drop(self, tokens: Tensor) -> Tensor:
        return functional.dropout(tokens, self.dropout, self.training)


def fresh(sizes: Sizes, seed: int) -> UnifiedTransformer:
    """New weights: normal with the deviation ``init``, that of the layers into the residual stream divided by sqrt(2 layers);
    biases and special tokens 0."""
    network, random = UnifiedTransformer(sizes), torch_stream(seed, "unifr")
    with torch.no_grad():
        for name, module in network.named_modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                residual = name.endswith((".out", ".mlp.2"))
                module.weight.normal_(0, sizes.init / (math.sqrt(2 * sizes.layers) if residual else 1), generator=random)
                if isinstance(module, nn.Linear) and module.bias is not None:
                    module.bias.zero_()
    return network


def positions(places: Tensor, width: int) -> Tensor:
    """(..., N) -> (..., N, width): sines on even, cosines on odd channels, wavelengths from 2 pi to 10000 times that."""
    rates = 10000.0 ** (-2 * (torch.arange(width, device=places.device) // 2) / width)
    angles = places[..., None].double() * rates.double()
    even = torch.arange(width, device=places.device) % 2 == 0
    return torch.where(even, angles.sin(), angles.cos()).float()


def _column(start: int | Sequence[int], device: torch.device) -> Tensor:
    return torch.as_tensor(start, device=device).reshape(-1, 1)
