"""One token for each frame: finite scalars (FSQ, arXiv 2309.15505), or the codebooks of vector-quantize-pytorch (VQ, LFQ)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from diffusionrig.errors import UsageError

KINDS = ("fsq", "vq", "lfq")
EPS = 1e-3
"""FSQ's bound reaches this much beyond the outermost levels, relatively."""

LEAST_LEVELS = 3
"""Of two levels, the shift that keeps 0 at 0 puts the border between them at -3.8, where tanh is all but flat: one would hardly
ever be taken, and no gradient leads to it. vector-quantize-pytorch refuses them likewise."""


class FSQ(nn.Module):
    """Each of a few numbers is rounded to one of its levels; a token is the mixed-radix number of all of them."""

    levels: Tensor
    basis: Tensor

    def __init__(self, levels: tuple[int, ...], width: int) -> None:
        super().__init__()
        if min(levels) < LEAST_LEVELS:
            raise ValueError(f"FSQ rounds to {LEAST_LEVELS} levels or more each, not to {min(levels)}")
        self.register_buffer("levels", torch.tensor(levels), persistent=False)
        self.register_buffer("basis", torch.tensor([math.prod(levels[:i]) for i in range(len(levels))]), persistent=False)
        self.size = math.prod(levels)
        self.project_in = nn.Linear(width, len(levels))
        self.project_out = nn.Linear(len(levels), width)

    def bound(self, z: Tensor) -> Tensor:
        """(..., d) -> within the levels: tanh(z + shift) half - offset, half = (L - 1)(1 + eps) / 2, offset = 1/2 for even L, and
        shift = atanh(offset / half), so that 0 stays 0."""
        half = (self.levels - 1) * (1 + EPS) / 2
        offset = torch.where(self.levels % 2 == 0, 0.5, 0.0).to(z)
        half = half.to(z)
        return torch.tanh(z + torch.atanh(offset / half)) * half - offset

    def codes(self, z: Tensor) -> Tensor:
        """(..., d) -> rounded, in -1..1; the gradient passes straight through the rounding."""
        bounded = self.bound(z)
        return (bounded + (bounded.round() - bounded).detach()) / (self.levels // 2)

    def index(self, codes: Tensor) -> Tensor:
        """Codes (..., d) -> tokens (...) int64 in 0..size - 1."""
        half = self.levels // 2
        return ((codes.detach() * half).round().long() + half).mul(self.basis).sum(-1)

    def codes_of(self, tokens: Tensor) -> Tensor:
        """The inverse of ``index``. ValueError for a token that is none (published code wraps it to another face)."""
        if tokens.numel() and not 0 <= int(tokens.min()) <= int(tokens.max()) < self.size:
            raise ValueError(f"face tokens lie in 0..{self.size - 1}, not {int(tokens.min())}..{int(tokens.max())}")
        half = self.levels // 2
        return ((tokens[..., None] // self.basis) % self.levels - half) / half

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        with torch.autocast(x.device.type, enabled=False):
            codes = self.codes(self.project_in(x.to(self.project_in.weight.dtype)))
            return self.project_out(codes), self.index(codes), x.new_zeros(())

    def decode(self, tokens: Tensor) -> Tensor:
        return self.project_out(self.codes_of(tokens).to(self.project_out.weight.dtype))


class Quantizer(nn.Module):
    """(B, T, C) -> what is decoded from its tokens (B, T, C), the tokens (B, T) and the codebook's own loss."""

    def __init__(self, kind: str, width: int, levels: tuple[int, ...], codebook: int) -> None:
        super().__init__()
        self.kind = kind
        self.size = math.prod(levels) if kind == "fsq" else codebook
        self.quantize: Any = FSQ(levels, width) if kind == "fsq" else _from_library(kind, width, codebook)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if self.kind == "lfq":
            made, tokens, loss = self.quantize(x, inv_temperature=100.0)
        else:
            made, tokens, loss = self.quantize(x)
        return made, tokens.long(), loss.sum()

    def decode(self, tokens: Tensor) -> Tensor:
        """Tokens (B, T) -> (B, T, C)."""
        if self.kind == "fsq":
            return self.quantize.decode(tokens)
        return self.quantize.indices_to_codes(tokens) if self.kind == "lfq" else self.quantize.get_codes_from_indices(tokens)


def _from_library(kind: str, width: int, codebook: int) -> nn.Module:
    """As published: VQ with decay .8, commitment 1 and k-means at the start; LFQ with entropy .1 and its default diversity 1."""
    try:
        from vector_quantize_pytorch import LFQ, VectorQuantize
    except ImportError:
        raise UsageError(f"tokenizer.quantizer {kind} needs vector-quantize-pytorch; install the extra 'quantizers' (pip install "
                         "'diffusionrig[quantizers]') or choose fsq.") from None
    if kind == "lfq":
        return LFQ(dim=width, codebook_size=codebook, entropy_loss_weight=0.1, diversity_gamma=1.0)
    return VectorQuantize(dim=width, codebook_size=codebook, decay=0.8, commitment_weight=1.0, kmeans_init=True)
