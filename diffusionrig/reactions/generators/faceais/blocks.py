"""Transformer blocks with the published parameter names: pre-norm attention and MLP, cross attention, and the gated cross-modal
block of FIBER (arXiv 2206.07643). No causal mask of their own: who sees whom is an argument.

B batch, T positions, C width; masks are bool (B or 1, 1, T queries, T keys), True = may be seen, or floats that are added.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn
from torch.nn import functional

from diffusionrig.randomness import torch_stream


@dataclasses.dataclass(frozen=True)
class Build:
    """width C; heads; whether linear maps and norms have a bias; dropout of what is added to the stream, and of attention weights
    (which keeps CPUs from their fast attention)."""

    width: int
    heads: int
    bias: bool
    dropout: float
    attention_dropout: float


class Cache:
    """Keys and values (B, heads, n, C / heads) of the positions that are settled, for one attention; the ``limit`` newest are held.

    ``join`` puts the present positions behind them; ``keep`` settles what was joined last.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._settled: tuple[Tensor, Tensor] | None = None
        self._joined: tuple[Tensor, Tensor] | None = None

    def join(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        if self._settled is not None:
            keys, values = torch.cat([self._settled[0], keys], 2), torch.cat([self._settled[1], values], 2)
        self._joined = keys, values
        return keys, values

    def keep(self) -> None:
        assert self._joined is not None
        first = max(0, self._joined[0].shape[2] - self.limit)
        self._settled = self._joined[0][:, :, first:], self._joined[1][:, :, first:]


class Rotation:
    """Rotary positions (arXiv 2104.09864): channel pairs (i, i + half) of queries and keys turn by position x 10000^(-i / half), so
    that scores depend on distances alone."""

    def __init__(self, start: int, count: int, size: int, like: Tensor) -> None:
        half = size // 2
        rates = 10000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
        turn = torch.arange(start, start + count, dtype=torch.float64)[:, None] * rates
        self.cos, self.sin = (table.to(like) for table in (turn.cos(), turn.sin()))

    def __call__(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, -1)
        return torch.cat([a * self.cos - b * self.sin, a * self.sin + b * self.cos], -1)


def _attend(heads: int, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, rotation: Rotation | None, cache: Cache | None,
            dropout: float) -> Tensor:
    """(B, T, C) three times -> (B, T, C)."""
    q, k, v = (part.unflatten(2, (heads, -1)).transpose(1, 2) for part in (q, k, v))
    if rotation is not None:
        q, k = rotation(q), rotation(k)
    if cache is not None:
        k, v = cache.join(k, v)
    return functional.scaled_dot_product_attention(q, k, v, mask, dropout).transpose(1, 2).flatten(2)


class SelfAttention(nn.Module):
    """``c_attn`` makes queries, keys and values in one product."""

    def __init__(self, build: Build) -> None:
        super().__init__()
        self.build = build
        self.c_attn = nn.Linear(build.width, 3 * build.width, build.bias)
        self.c_proj = nn.Linear(build.width, build.width, build.bias)
        self.drop = nn.Dropout(build.dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None, rotation: Rotation | None = None,
                cache: Cache | None = None) -> Tensor:
        q, k, v = self.c_attn(x).chunk(3, 2)
        dropout = self.build.attention_dropout * self.training
        return self.drop(self.c_proj(_attend(self.build.heads, q, k, v, mask, rotation, cache, dropout)))


class CrossAttention(nn.Module):
    """Queries from x, keys and values from y, which stands at the same times."""

    def __init__(self, build: Build) -> None:
        super().__init__()
        self.build = build
        self.x_c_attn = nn.Linear(build.width, build.width, build.bias)
        self.y_c_attn = nn.Linear(build.width, 2 * build.width, build.bias)
        self.c_proj = nn.Linear(build.width, build.width, build.bias)
        self.drop = nn.Dropout(build.dropout)

    def forward(self, x: Tensor, y: Tensor, mask: Tensor | None = None, rotation: Rotation | None = None,
                cache: Cache | None = None) -> Tensor:
        k, v = self.y_c_attn(y).chunk(2, 2)
        dropout = self.build.attention_dropout * self.training
        return self.drop(self.c_proj(_attend(self.build.heads, self.x_c_attn(x), k, v, mask, rotation, cache, dropout)))


class MLP(nn.Module):
    def __init__(self, build: Build) -> None:
        super().__init__()
        self.c_fc = nn.Linear(build.width, 4 * build.width, build.bias)
        self.c_proj = nn.Linear(4 * build.width, build.width, build.bias)
        self.drop = nn.Dropout(build.dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(self.c_proj(functional.gelu(self.c_fc(x))))


class Block(nn.Module):
    """x + attention(norm x), then + MLP(norm x)."""

    def __init__(self, build: Build) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(build.width, bias=build.bias)
        self.attn = SelfAttention(build)
        self.ln_2 = nn.LayerNorm(build.width, bias=build.bias)
        self.mlp = MLP(build)

    def forward(self, x: Tensor, mask: Tensor | None = None, rotation: Rotation | None = None,
                cache: Cache | None = None) -> Tensor:
        x = x + self.attn(self.ln_1(x), mask, rotation, cache)
        return x + self.mlp(self.ln_2(x))


class CrossModalBlock(nn.Module):
    """h = SA(LN1 x); x' = x + h + a CA(LN1 h, LN3 y); x' + MLP(LN2 x'). The gate a is a scalar that begins at ``gate``."""

    def __init__(self, build: Build, gate: float = 0.0) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(build.width, bias=build.bias)
        self.attn = SelfAttention(build)
        self.attn_cross = CrossAttention(build)
        self.ln_2 = nn.LayerNorm(build.width, bias=build.bias)
        self.ln_3 = nn.LayerNorm(build.width, bias=build.bias)
        self.mlp = MLP(build)
        self.gated_alpha = nn.Parameter(torch.tensor(float(gate)))

    def forward(self, x: Tensor, y: Tensor, mask: Tensor | None = None, cross_mask: Tensor | None = None,
                rotation: Rotation | None = None, caches: tuple[Cache | None, Cache | None] = (None, None)) -> Tensor:
        """``caches``: of the attention within x, and of the one from x to y."""
        h = self.attn(self.ln_1(x), mask, rotation, caches[0])
        x = x + h + self.gated_alpha * self.attn_cross(self.ln_1(h), self.ln_3(y), cross_mask, rotation, caches[1])
        return x + self.mlp(self.ln_2(x))


def initialise(module: nn.Module, layers: int, scale: float, *keys: int | str) -> None:
    """Weights and embeddings normal with deviation ``scale``; projections back into the residual (``c_proj``) divided by
    sqrt(2 ``layers``); biases 0, norms 1. Gates and whatever else is a bare parameter stay. ``keys`` name the random stream."""
    random = torch_stream(*keys)
    with torch.no_grad():
        for name, part in module.named_modules():
            if isinstance(part, nn.Linear | nn.Embedding):
                reach = scale / (2 * layers) ** 0.5 if name.endswith("c_proj") else scale
                part.weight.normal_(0.0, reach, generator=random)
                if isinstance(part, nn.Linear) and part.bias is not None:
                    part.bias.zero_()
