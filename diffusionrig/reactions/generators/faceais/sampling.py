"""Drawing tokens: temperature, the k likeliest of each row, and a patch filled in several draws."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def draw(logits: Tensor, uniform: Tensor, temperature: float, top_k: int) -> tuple[Tensor, Tensor]:
    """Logits (..., V) and uniform numbers (...) in [0, 1) -> tokens (...), by inverting the distribution function of the ``top_k``
    likeliest of each row (0: of all), and the probability of each."""
    chosen = 0 < top_k < logits.shape[-1]
    values, names = logits.float().topk(top_k, -1) if chosen else (logits.float(), None)
    probabilities = (values / temperature).softmax(-1)
    sums = probabilities.cumsum(-1)
    place = (sums <= uniform.to(sums)[..., None] * sums[..., -1:]).sum(-1, keepdim=True).clamp_max(values.shape[-1] - 1)
    # A number that rounding put on the edge of an impossible token takes the likeliest one.
    place = torch.where(probabilities.gather(-1, place) > 0, place, probabilities.argmax(-1, keepdim=True))
    tokens = place if names is None else names.gather(-1, place)
    return tokens[..., 0], probabilities.gather(-1, place)[..., 0]


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
