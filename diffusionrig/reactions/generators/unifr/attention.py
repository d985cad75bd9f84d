"""Who may see whom, and the block with two attentions and one MLP.

Tokens of a frame: 0 face, 1 pose, 2 sound of the speaker; 3 action units, 4 expression, 5 valence and arousal of the listener.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

SPEAKER, PER_FRAME = 3, 6


@dataclasses.dataclass(frozen=True)
class Places:
    """Where tokens stand: ``frame`` and ``kind`` (0..5), and whether they are ``asking``: those that stand for a chunk that is
    to be made, its listener masked, while the others tell what is known. Each (N,)."""

    frame: Tensor
    kind: Tensor
    asking: Tensor

    @staticmethod
    def of_frames(start: int, stop: int, asking: bool, device: torch.device | None = None) -> Places:
        """All six tokens of frames ``start`` to ``stop``."""
        frame = torch.arange(start, stop, device=device).repeat_interleave(PER_FRAME)
        kind = torch.arange(PER_FRAME, device=device).repeat(stop - start)
        return Places(frame, kind, torch.full_like(frame, asking, dtype=torch.bool))

    def __add__(self, other: Places) -> Places:
        return Places(torch.cat([self.frame, other.frame]), torch.cat([self.kind, other.kind]),
                      torch.cat([self.asking, other.asking]))

    def __getitem__(self, index: Tensor | slice) -> Places:
        return Places(self.frame[index], self.kind[index], self.asking[index])

    @property
    def index(self) -> Tensor:
        """Place in the sequence of one token after another, from which the position is encoded."""
        return self.frame * PER_FRAME + self.kind


def may_see(query: Places, key: Places, chunk: int, context: int = 0) -> Tensor:
    """(Q, K) bool: what the causal attention lets through, for chunks of ``chunk`` frames.

    Within a chunk everything sees everything of its own sort (asking or telling). Across chunks, speaker tokens see earlier telling
    speaker tokens, of the last ``context`` frames up to the end of their own chunk (0: all). Listener tokens neither see nor are
    seen outside of their chunk, so past reactions reach later frames through the speaker tokens of their chunk.
    """
    asks, told = query.frame // chunk, key.frame // chunk
    same = (asks[:, None] == told) & (query.asking[:, None] == key.asking)
    earlier = (told < asks[:, None]) & ~key.asking & (key.kind < SPEAKER) & (query.kind < SPEAKER)[:, None]
    if context:
        earlier &= key.frame >= (asks[:, None] + 1) * chunk - context
    return same | earlier


Past = tuple[Tensor, Tensor]
"""Keys and values (B, heads, N, width / heads)."""


class Attention(nn.Module):
    """Multi-head attention with one projection for queries, keys and values."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None = None, past: Past | None = None) -> tuple[Tensor, Past]:
        """(B, N, width) -> the same, and keys and values of ``x``; ``past`` comes before them. ``mask`` (N, P + N) bool."""
        batch, count, width = x.shape
        query, key, value = self.qkv(x).reshape(batch, count, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        keys, values = (key, value) if past is None else (torch.cat([past[0], key], 2), torch.cat([past[1], value], 2))
        mixed = functional.scaled_dot_product_attention(query, keys, values, mask, self.dropout if self.training else 0.0)
        return functional.dropout(self.out(mixed.transpose(1, 2).reshape(batch, count, width)), self.dropout, self.training), (
            key, value)


class Block(nn.Module):
    """Pre-norm block; ``both`` attends in both directions (offline), ``causal`` as ``may_see`` says (online)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.both, self.causal = Attention(width, heads, dropout), Attention(width, heads, dropout)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width), nn.Dropout(dropout))

    def forward(self, x: Tensor, attend: Callable[[Block, Tensor], Tensor]) -> Tensor:
        """``attend`` (this block, normed tokens) -> what is added to the tokens."""
        x = x + attend(self, self.norm1(x))
        return x + self.mlp(self.norm2(x))
