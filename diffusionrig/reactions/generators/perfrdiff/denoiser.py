"""The transformer that cleans a window of the listener's attributes, told about the speaker by cross-attention.

K samples that share their conditions and time step are one group: what they are told is projected once, and in sampling once for
all steps. Personal shifts are per group. Parameters have the published names.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffusionrig.model.blocks import timestep_embedding
from diffusionrig.reactions.generators.perfrdiff.settings import OUTPUT
from diffusionrig.reactions.generators.perfrdiff.shifts import Shift, Shifts

TIME_CHANNELS = 64
PRIVATE = ("prior", "past")
"""Conditions that differ between the samples of a group: (G, K, n, D); all others are (G, n, D)."""
FRAMES = ("audio", "face", "emotion")
"""Conditions with a token for every frame of the speaker in view; they come first."""
CONDITION_MODULES = {"audio": "speaker_audio_proj", "face": "speaker_3dmm_proj", "emotion": "speaker_emotion_proj",
                     "latent": "speaker_latent_proj", "prior": "listener_latent_proj", "past": "listener_emotion_proj"}
"""Published names of the projections."""
Heads = tuple[Tensor, Tensor]


class Attention(nn.Module):
    """Multi-head attention whose projections may be shifted."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.width, self.heads, self.dropout = width, heads, dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def split(self, x: Tensor, parts: slice, shift: Shift | None = None) -> list[Tensor]:
        """x (G, n, width) -> for each of the ``parts`` (0 queries, 1 keys, 2 values) heads (G, h, n, e)."""
        first, last = parts.start * self.width, parts.stop * self.width
        made = F.linear(x, self.in_proj_weight[first:last], self.in_proj_bias[first:last])
        if shift is not None:
            made = made + shift.rows(first, last)(x)
        return [part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in made.split(self.width, 2)]

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """(B, h, n, e) -> (B, n, width)."""
        seen = F.scaled_dot_product_attention(queries, keys, values, dropout_p=self.dropout if self.training else 0.0)
        return self.out_proj(seen.transpose(1, 2).flatten(2))


@dataclasses.dataclass(frozen=True)
class Memory:
    """What the samples are told, ready for every layer: keys and values of the shared tokens (G, h, M, e) and, where there are
    any, of the private ones (G K, h, P, e)."""

    shared: list[Heads]
    private: list[Heads] | None


class Layer(nn.Module):
    """Self-attention, cross-attention and feed-forward, each followed by its norm."""

    def __init__(self, width: int, heads: int, feed_forward: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = Attention(width, heads, dropout)
        self.multihead_attn = Attention(width, heads, dropout)
        self.linear1 = nn.Linear(width, feed_forward)
        self.linear2 = nn.Linear(feed_forward, width)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, time: Tensor, shared: Heads, private: Heads | None, shift: Shift | None) -> Tensor:
        """x (G, K, L, width); ``time`` (G, 1, width)."""
        group = x.shape[:2]
        rows = x.flatten(0, 1)
        rows = self.norm1(rows + self.dropout(self.self_attn.attend(*self.self_attn.split(rows, slice(0, 3)))))
        seen = self.cross(rows.unflatten(0, group), time, shared, private, shift)
        rows = self.norm2(rows + self.dropout(seen.flatten(0, 1)))
        inner = self.linear2(self.dropout(F.gelu(self.linear1(rows))))
        return self.norm3(rows + self.dropout(inner)).unflatten(0, group)

    def cross(self, x: Tensor, time: Tensor, shared: Heads, private: Heads | None, shift: Shift | None) -> Tensor:
        """x (G, K, L, width) -> what it finds in the memory, alike."""
        attention, (groups, samples, length, _) = self.multihead_attn, x.shape
        queries, = attention.split(x.flatten(1, 2), slice(0, 1), shift)
        told = zip(attention.split(time, slice(1, 3), shift), shared)
        keys, values = (torch.cat([first, rest.expand(groups, -1, -1, -1)], 2) for first, rest in told)
        if private is None:
            return attention.attend(queries, keys, values).unflatten(1, (samples, length))
        queries = queries.unflatten(2, (samples, length)).transpose(1, 2).flatten(0, 1)
        keys, values = (torch.cat([common.repeat_interleave(samples, 0), own], 2)
                        for common, own in zip((keys, values), private))
        return attention.attend(queries, keys, values).unflatten(0, (groups, samples))


class Stack(nn.Module):
    """Layers and a last norm."""

    def __init__(self, width: int, layers: int, heads: int, feed_forward: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Layer(width, heads, feed_forward, dropout) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)


def sines(times: Tensor, width: int) -> Tensor:
    """Times (n,) -> (n, width): sines at even places, cosines at odd ones, periods 2 pi to 20000 pi."""
    angles = times[:, None] / 10000 ** (torch.arange(0, width, 2, device=times.device) / width)
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)[:, :width]


class Positions(nn.Module):
    """Learnt positions, added."""

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.pe = nn.Parameter(torch.rand(count, 1, width))

    @torch.no_grad()
    def place(self, first: int, times: Tensor) -> None:
        """Let the positions from ``first`` on begin as sinusoids of ``times`` (n,)."""
        self.pe[first:first + len(times), 0] = sines(times, self.pe.shape[2])

    def take(self, first: int, count: int) -> Tensor:
        """(count, width)."""
        if first + count > len(self.pe):
            raise ValueError(f"{first + count} tokens, but positions for {len(self.pe)}")
        return self.pe[first:first + count, 0]


class TimeEmbedding(nn.Module):
    """Step (G,) -> (G, width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(TIME_CHANNELS, width)
        self.linear_2 = nn.Linear(width, width)

    def forward(self, t: Tensor) -> Tensor:
        return self.linear_2(F.silu(self.linear_1(timestep_embedding(t, TIME_CHANNELS).to(self.linear_1.weight.dtype))))


class Denoiser(nn.Module):
    """x_t (G, K, L, ``features``), t (G,) and a memory -> x_0. ``conditions``: numbers of each token by name, in order."""

    def __init__(self, features: int, width: int, layers: int, heads: int, feed_forward: int, dropout: float,
                 conditions: Mapping[str, int], audio_scale: float, positions: int) -> None:
        super().__init__()
        self.conditions, self.audio_scale = dict(conditions), audio_scale
        self.to_emotion_embed = nn.Linear(features, width)
        self.to_emotion_feat = nn.Linear(width, features)
        self.time_embedding = TimeEmbedding(width)
        for name, size in conditions.items():
            self.add_module(CONDITION_MODULES[name], nn.Linear(size, width) if size != width else nn.Identity())
        self.query_pos = Positions(positions, width)
        self.mem_pos = Positions(positions, width)
        self.decoder = Stack(width, layers, heads, feed_forward, dropout)

    def align(self, frames: int, before: int) -> None:
        """Let positions begin as sinusoids of time, the same for frames of the listener and of the speaker that are simultaneous.
        ``frames`` of the speaker are in view, from ``before`` frames before the window on."""
        self.query_pos.place(0, torch.arange(len(self.query_pos.pe), dtype=torch.float32))
        place = 1
        for name in self.conditions:
            if name not in FRAMES:
                break
            self.mem_pos.place(place, torch.arange(frames, dtype=torch.float32) - before)
            place += frames

    def shapes(self, edited: tuple[str, ...]) -> dict[str, tuple[int, int]]:
        """Shapes of the weights that personal shifts are added to."""
        weights: dict[str, Tensor] = {OUTPUT: self.to_emotion_feat.weight}
        weights.update({f"{index}.cross": self.cross(index).in_proj_weight for index in range(len(self.decoder.layers))})
        return {name: (weights[name].shape[0], weights[name].shape[1]) for name in edited}

    def cross(self, index: int) -> Attention:
        """The cross-attention of a layer."""
        layer = self.decoder.layers[index]
        assert isinstance(layer, Layer)
        return layer.multihead_attn

    def memory(self, tokens: Mapping[str, Tensor], keep: Mapping[str, Tensor] | None = None,
               shifts: Shifts | None = None) -> Memory:
        """``tokens`` by condition: (G, n, D), or (G, K, n, D) for private ones. ``keep`` (G,) 1 or 0 by name leaves conditions
        out, as zeros."""
        shared: list[Tensor] = []
        private: list[Tensor] = []
        place = 1
        for name in self.conditions:
            made = self.get_submodule(CONDITION_MODULES[name])(tokens[name])
            if name == "audio":
                made = made * self.audio_scale
            if keep is not None:
                made = made * keep[name].view(-1, *[1] * (made.ndim - 1))
            count = made.shape[-2]
            (private if name in PRIVATE else shared).append(made + self.mem_pos.take(place, count))
            place += count
        first = next(iter(tokens.values()))
        empty = first.new_zeros(len(first), 0, self.to_emotion_embed.out_features)
        common = torch.cat([empty, *shared], 1)
        own = torch.cat(private, 2) if private else None
        shifts = shifts or {}
        return Memory([self._heads(index, common, shifts) for index in range(len(self.decoder.layers))],
                      None if own is None else [self._private(index, own, shifts) for index in range(len(self.decoder.layers))])

    def _heads(self, index: int, tokens: Tensor, shifts: Shifts) -> Heads:
        keys, values = self.cross(index).split(tokens, slice(1, 3), shifts.get(f"{index}.cross"))
        return keys, values

    def _private(self, index: int, tokens: Tensor, shifts: Shifts) -> Heads:
        samples, count = tokens.shape[1:3]
        keys, values = (part.unflatten(2, (samples, count)).transpose(1, 2).flatten(0, 1)
                        for part in self._heads(index, tokens.flatten(1, 2), shifts))
        return keys, values

    def forward(self, x: Tensor, t: Tensor, memory: Memory, shifts: Shifts | None = None) -> Tensor:
        shifts = shifts or {}
        time = self.time_embedding(t)[:, None] + self.mem_pos.take(0, 1)
        x = self.to_emotion_embed(x) + self.query_pos.take(0, x.shape[2])
        for index, layer in enumerate(self.decoder.layers):
            private = None if memory.private is None else memory.private[index]
            x = layer(x, time, memory.shared[index], private, shifts.get(f"{index}.cross"))
        x = self.decoder.norm(x)
        made = self.to_emotion_feat(x)
        if OUTPUT in shifts:
            made = made + shifts[OUTPUT](x.flatten(1, 2)).view_as(made)
        return made
