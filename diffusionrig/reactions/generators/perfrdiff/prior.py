"""The diffusion prior: a causal transformer (that of DALL-E 2's prior) from the speaker to a latent of the listener's window.

Tokens: sound | speaker's latents | coefficients | time | noisy latent | query. The first three neither change with the step nor
between samples and nothing before them is seen by them, so their keys and values are worked out once. Published parameter names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffusionrig.model.blocks import timestep_embedding

SCALE = 16.0
"""Of the cosine similarity of queries and keys."""
ROTARY = 32
BUCKETS, FARTHEST = 32, 128
TIME_CHANNELS = 64
_NULLS = {"audio": "null_s_audio_encodings", "latent": "null_s_latent_embed", "face": "null_s_3dmm_encodings"}
Prefix = list[tuple[Tensor, Tensor]]


class Norm(nn.Module):
    """Layer norm with a gain only; ``stable`` divides by the largest entry first."""

    def __init__(self, width: int, stable: bool = False) -> None:
        super().__init__()
        self.stable = stable
        self.g = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        if self.stable:
            x = x / x.amax(-1, keepdim=True).detach()
        return F.layer_norm(x, x.shape[-1:]) * self.g


def rotated(x: Tensor, first: int) -> Tensor:
    """Rotary positions ``first`` ... of x (..., n, e): the first 32 numbers of each row, in pairs."""
    size = min(ROTARY, x.shape[-1])
    frequencies = 10000.0 ** (-torch.arange(0, size, 2, dtype=x.dtype, device=x.device) / size)
    angles = torch.arange(first, first + x.shape[-2], dtype=x.dtype, device=x.device)[:, None] * frequencies
    one, two = x[..., 0:size:2], x[..., 1:size:2]
    turned = torch.stack([one * angles.cos() - two * angles.sin(), two * angles.cos() + one * angles.sin()], -1).flatten(-2)
    return torch.cat([turned, x[..., size:]], -1)


def bucket(distance: Tensor) -> Tensor:
    """T5's bucket of how far back a key lies: exact up to 15, then logarithmic up to 128."""
    exact = BUCKETS // 2
    back = distance.clamp_min(0)
    far = exact + (torch.log(back.clamp_min(1).float() / exact) / math.log(FARTHEST / exact) * (BUCKETS - exact)).long()
    return torch.where(back < exact, back, far.clamp_max(BUCKETS - 1))


class Table(nn.Module):
    """Numbers (rows, columns), looked up."""

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(rows, columns))

    def forward(self, index: Tensor) -> Tensor:
        return self.weight[index]


class RelativeBias(nn.Module):
    """Bias of every head by distance, learnt."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.relative_attention_bias = Table(BUCKETS, heads)

    def forward(self, first: int, count: int) -> Tensor:
        """(heads, count, first + count + 1) for queries ``first`` ... ; key 0 is the null key, and keys that lie ahead are -inf."""
        device = self.relative_attention_bias.weight.device
        queries = torch.arange(first, first + count, device=device)[:, None]
        keys = torch.arange(first + count + 1, device=device)
        bias = self.relative_attention_bias(bucket(queries - keys)).permute(2, 0, 1)
        return bias.masked_fill(keys > queries + 1, -math.inf)


class PriorAttention(nn.Module):
    """Many query heads on one key and value head, by cosine similarity, with a null key and value."""

    def __init__(self, width: int, heads: int, head: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = Norm(width)
        self.null_kv = nn.Parameter(torch.randn(2, head))
        self.to_q = nn.Linear(width, heads * head, bias=False)
        self.to_kv = nn.Linear(width, 2 * head, bias=False)
        self.to_out = nn.Sequential(nn.Linear(heads * head, width, bias=False), Norm(width))

    def forward(self, x: Tensor, bias: Tensor, first: int,
                before: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """x (B, n, width) at positions ``first`` ...; ``before``: keys and values (B, first, e) of the positions before."""
        x = self.norm(x)
        queries = rotated(self.to_q(x).unflatten(2, (self.heads, -1)).transpose(1, 2), first)
        keys, values = self.to_kv(x).chunk(2, -1)
        keys = rotated(keys, first)
        if before is not None:
            keys, values = torch.cat([before[0], keys], 1), torch.cat([before[1], values], 1)
        null_key, null_value = (row.expand(len(x), 1, -1) for row in self.null_kv)
        likeness = F.normalize(queries, dim=-1) @ F.normalize(torch.cat([null_key, keys], 1), dim=-1)[:, None].mT
        weights = (likeness * SCALE + bias).softmax(-1)
        seen = weights @ torch.cat([null_value, values], 1)[:, None]
        return self.to_out(seen.transpose(1, 2).flatten(2)), (keys, values)


class Gate(nn.Module):
    """SwiGLU: the first half times the silu of the second."""

    def forward(self, x: Tensor) -> Tensor:
        value, gate = x.chunk(2, -1)
        return value * F.silu(gate)


class CausalTransformer(nn.Module):
    """Layers of attention and gated feed-forward, with norms before; a norm and a projection at the end."""

    def __init__(self, width: int, depth: int, heads: int, head: int, multiple: int = 4) -> None:
        super().__init__()
        inner = multiple * width
        self.rel_pos_bias = RelativeBias(heads)
        # The places 3 and 4 of the published feed-forward are an absent norm and a dropout of 0.
        self.layers = nn.ModuleList([nn.ModuleList([PriorAttention(width, heads, head), nn.Sequential(
            Norm(width), nn.Linear(width, 2 * inner, bias=False), Gate(), nn.Identity(), nn.Identity(),
            nn.Linear(inner, width, bias=False))]) for _ in range(depth)])
        self.norm = Norm(width, stable=True)
        self.project_out = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, first: int = 0, before: Prefix | None = None) -> tuple[Tensor, Prefix]:
        """x (B, n, width) after ``first`` tokens, of which ``before`` has the keys and values; the same of all, in turn."""
        bias, kept = self.rel_pos_bias(first, x.shape[1]), []
        for index, layer in enumerate(self.layers):
            assert isinstance(layer, nn.ModuleList)
            attention, feed_forward = layer
            seen, held = attention(x, bias, first, None if before is None else before[index])
            kept.append(held)
            x = x + seen
            x = x + feed_forward(x)
        return self.project_out(self.norm(x)), kept


class PriorNetwork(nn.Module):
    """Noisy latents (G, K, 1, width), t (G,) and a prefix -> the clean ones. ``frames`` and ``windows`` of the speaker."""

    def __init__(self, width: int, depth: int, heads: int, head: int, audio: int, face: int, frames: int, windows: int) -> None:
        super().__init__()
        self.time_embed = nn.Sequential(nn.Linear(TIME_CHANNELS, width), nn.SiLU(), nn.Linear(width, width))
        self.to_audio_encodings = nn.Linear(audio, width)
        self.to_speaker_3dmmenc = nn.Linear(face, width)
        self.learned_query = nn.Parameter(torch.randn(width))
        for name, count in (("audio", frames), ("latent", windows), ("face", frames)):
            self.register_parameter(_NULLS[name], nn.Parameter(torch.randn(1, count, width)))
        self.causal_transformer = CausalTransformer(width, depth, heads, head)

    def fix_nulls(self) -> None:
        """Leave the null tokens out of training, where they are never shown."""
        for name in _NULLS.values():
            self.get_parameter(name).requires_grad_(False)

    def prefix(self, tokens: Mapping[str, Tensor], keep: Tensor | None = None) -> Prefix:
        """Keys and values of the conditions ``audio``, ``latent``, ``face`` (G, n, D). ``keep`` (G,) bool: where it is False,
        learnt null tokens stand for all of them."""
        made = {"audio": self.to_audio_encodings(tokens["audio"]), "latent": tokens["latent"],
                "face": self.to_speaker_3dmmenc(tokens["face"])}
        if keep is not None:
            made = {name: torch.where(keep[:, None, None], value, self.get_parameter(_NULLS[name])) for name, value in made.items()}
        return self.causal_transformer(torch.cat(list(made.values()), 1))[1]

    def forward(self, x: Tensor, t: Tensor, prefix: Prefix) -> Tensor:
        groups, samples = x.shape[:2]
        time = self.time_embed(timestep_embedding(t, TIME_CHANNELS).to(x.dtype))[:, None, None].expand(-1, samples, -1, -1)
        tokens = torch.cat([time, x, self.learned_query.expand(groups, samples, 1, -1)], 2).flatten(0, 1)
        repeated = [(keys.repeat_interleave(samples, 0), values.repeat_interleave(samples, 0)) for keys, values in prefix]
        made, _ = self.causal_transformer(tokens, prefix[0][0].shape[1], repeated)
        return made[:, -1:].unflatten(0, (groups, samples))
