"""Transformer blocks whose weights are shifted, at low rank, by who is listening."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Join = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class PersonalLinear(nn.Module):
    """y = W x + b + U (g * (V x)) with g = G p, p (B, person) the listener: a shift of W of its own for every row of a batch.

    U starts at zero, and G has no offset: nothing known of the listener (p = 0) leaves W as it is. ``rank`` 0 is a plain layer.
    """

    def __init__(self, inside: int, outside: int, rank: int, person: int) -> None:
        super().__init__()
        self.weight = nn.Linear(inside, outside)
        self.rank = rank
        if rank:
            self.down = nn.Linear(inside, rank, bias=False)
            self.gate = nn.Linear(person, rank, bias=False)
            self.up = nn.Linear(rank, outside, bias=False)
            nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor, person: Tensor) -> Tensor:
        """x (B, T, inside), person (B, P) -> (B, T, outside)."""
        y = self.weight(x)
        return y + self.up(self.down(x) * self.gate(person)[:, None]) if self.rank else y


def turn(x: Tensor, place: Tensor) -> Tensor:
    """Rotary positions (Su et al. 2021): x (B, heads, T, D) turned by place (T,) over wavelengths 2 pi to 2 pi 1000 frames."""
    half = x.shape[-1] // 2
    rates = 1000.0 ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)
    angle = place.float()[:, None] * rates
    cosine, sine = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    first, second = x[..., :half], x[..., half:]
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], -1)


class Block(nn.Module):
    """Pre-norm attention and MLP. ``join`` puts keys and values (B, heads, T, D) behind those of earlier frames, which all queries
    see."""

    def __init__(self, width: int, heads: int, dropout: float, rank: int, person: int) -> None:
        super().__init__()
        self.heads = heads
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = PersonalLinear(width, 3 * width, rank, person)
        self.out = nn.Linear(width, width)
        self.rise = PersonalLinear(width, 4 * width, rank, person)
        self.fall = nn.Linear(4 * width, width)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, person: Tensor, place: Tensor, mask: Tensor | None, join: Join | None = None) -> Tensor:
        """x (B, T, width), place (T,) frame numbers, mask (T, T) True where a query may look; returns x."""
        q, k, v = self.qkv(self.first(x), person).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        q, k = turn(q, place), turn(k, place)
        if join is not None:
            k, v = join(k, v)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + self.drop(self.out(mixed.transpose(1, 2).flatten(2)))
        return x + self.drop(self.fall(F.gelu(self.rise(self.second(x), person))))
