"""Who is it? A transformer from a clip's coefficients to a code of length 1, so that clips of one person have like codes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffusionrig.reactions.generators.perfrdiff.denoiser import sines
from diffusionrig.reactions.interface import COEFFICIENTS

QUANTILES = (0.1, 0.5, 0.9)


class PersonEncoder(nn.Module):
    """Coefficients (B, T, 58), in the units of training -> codes (B, ``projection``) of length 1. Published parameter names."""

    def __init__(self, width: int, layers: int, heads: int, feed_forward: int, projection: int, dropout: float,
                 summary: bool) -> None:
        super().__init__()
        self.embed_layer = nn.Linear(COEFFICIENTS, width)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.transformer = nn.TransformerEncoder(nn.TransformerEncoderLayer(width, heads, feed_forward, dropout, batch_first=True),
                                                 layers, enable_nested_tensor=False)
        self.dropout = nn.Dropout(dropout)
        self.proj_head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, projection))
        self.summary = nn.Linear(len(QUANTILES) * COEFFICIENTS, width) if summary else None

    def forward(self, face: Tensor) -> Tensor:
        first = self.cls_token.expand(len(face), -1, -1)
        if self.summary is not None:
            levels = torch.quantile(face, face.new_tensor(QUANTILES), dim=1).transpose(0, 1).flatten(1)
            first = first + self.summary(levels)[:, None]
        tokens = torch.cat([first, self.embed_layer(face)], 1)
        places = sines(torch.arange(tokens.shape[1], dtype=face.dtype, device=face.device), tokens.shape[2])
        tokens = self.dropout(tokens + places)
        return F.normalize(self.proj_head(self.transformer(tokens)[:, 0]), dim=-1)


def averaged(codes: Sequence[Tensor]) -> Tensor:
    """Codes (D,) of several clips of one person -> one of length 1."""
    return F.normalize(torch.stack(list(codes)).mean(0), dim=-1)


def medians(emotion: Tensor, face: Tensor) -> Tensor:
    """A clip's attributes (T, 25) and coefficients (T, 58) -> (83,) their medians over time."""
    return torch.cat([emotion.median(0).values, face.median(0).values])


def contrastive_loss(codes: Tensor, people: Tensor, temperature: float) -> Tensor:
    """Supervised contrastive loss (Khosla et al. 2020, equation 2): codes (B, D) of length 1, ``people`` (B,) whose they are.

    Clips whose person has no other clip in the batch count for comparison only.
    """
    itself = torch.eye(len(codes), dtype=torch.bool, device=codes.device)
    likeness = (codes @ codes.T / temperature).masked_fill(itself, -torch.inf)
    chances = likeness.log_softmax(1).masked_fill(itself, 0.0)
    same = (people[:, None] == people) & ~itself
    counts = same.sum(1)
    return -((chances * same).sum(1) / counts.clamp_min(1))[counts > 0].mean()
