"""Drawing tokens: temperature, the k likeliest of each row, and a patch filled in several draws."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def keep_top(logits: Tensor, k: int) -> Tensor:
    """Logits (..., V) with all but the ``k`` largest of each row at -inf (0: all stay). Ties with the k-th stay too."""
    if not 0 < k < logits.shape[-1]:
        return logits
    least = logits.topk(k, -1).values[..., -1:]
    return logits.masked_fill(logits < least, -math.inf)


def draw(logits: Tensor, uniform: Tensor, temperature: float, top_k: int) -> tuple[Tensor, Tensor]:
    """Logits (..., V) and uniform numbers (...) in [0, 1) -> tokens (...) by inverting the distribution function, and the
    probability of each."""
    probabilities = keep_top(logits.float() / temperature, top_k).softmax(-1)
    sums = probabilities.cumsum(-1)
    tokens = torch.searchsorted(sums, (uniform.to(sums) * sums[..., -1])[..., None], right=True)
    tokens = tokens.clamp_max(logits.shape[-1] - 1)
    chances = probabilities.gather(-1, tokens)
    # A number that rounding put on the edge of an impossible token takes the likeliest one.
    tokens = torch.where(chances > 0, tokens, probabilities.argmax(-1, keepdim=True))
    return tokens[..., 0], probabilities.gather(-1, tokens)[..., 0]


def still_hidden(count: int, step: int, steps: int) -> int:
    """How many of ``count`` frames are hidden after draw ``step`` (from 1) of ``steps``: the cosine schedule of MaskGIT (arXiv
    2202.04200); 0 after the last."""
    return 0 if step == steps else min(count - 1, round(count * math.cos(math.pi * step / (2 * steps))))


def settle(draft: Tensor, drawn: Tensor, chances: Tensor, hidden: Tensor, remain: int) -> tuple[Tensor, Tensor]:
    """Keep what is drawn (B, P) at all but ``remain`` of the ``hidden`` frames of each row, most certain first; exactly so many,
    ties going to earlier frames. Returns the new draft and what is hidden still."""
    order = torch.where(hidden, chances, math.inf).sort(dim=1, descending=True, stable=True).indices
    rank = torch.empty_like(order).scatter_(1, order, torch.arange(order.shape[1], device=order.device).expand_as(order))
    later = rank >= order.shape[1] - remain
    return torch.where(hidden & ~later, drawn, draft), hidden & later
