"""Reactions as words: a frame's 25 attributes <-> one word each of action units, expression, and valence with arousal.

Three code books, each a row of attributes a word; a frame gets the nearest row of each. For occurrences that is the exact pattern
where it is known, else the nearest by Hamming distance; for valence and arousal the own cell of the grid where it is occupied.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

STREAMS = ("AU", "exp", "VA")
"""Order of the words of a frame, as the published files of tokens have it."""

CHANNELS = {"AU": slice(0, 15), "VA": slice(15, 17), "exp": slice(17, 25)}
_CHUNK = 4096  # frames compared at a time


class Vocabulary(nn.Module):
    """Buffers ``AU`` (A, 15), ``exp`` (E, 8), ``VA`` (V, 2), cell centres; ``cell`` is the width of a cell.

    ``compat`` does as published: valence and arousal are decoded to the upper edge of their cell, half a cell too high, and what
    is in no known cell or pattern becomes word 0.
    """

    AU: Tensor
    exp: Tensor
    VA: Tensor
    cell: Tensor

    def __init__(self, AU: Tensor, exp: Tensor, VA: Tensor, cell: float, compat: bool = False) -> None:
        super().__init__()
        self.register_buffer("AU", AU.float())
        self.register_buffer("exp", exp.float())
        self.register_buffer("VA", VA.float())
        self.register_buffer("cell", torch.tensor(cell, dtype=torch.float32))
        self.compat = compat

    @property
    def sizes(self) -> dict[str, int]:
        """Words of each stream."""
        return {name: len(getattr(self, name)) for name in STREAMS}

    @torch.no_grad()
    def encode(self, emotion: Tensor) -> Tensor:
        """Attributes (..., 25) -> words (..., 3) int64."""
        return torch.stack([self._nearest(name, emotion[..., CHANNELS[name]].float()) for name in STREAMS], -1)

    def decode(self, words: Tensor) -> Tensor:
        """Words (..., 3) -> attributes (..., 25) in the order of the corpus's columns."""
        AU, exp, VA = (getattr(self, name)[words[..., i]] for i, name in enumerate(STREAMS))
        return torch.cat([AU, VA + self.cell / 2 if self.compat else VA, exp], -1)

    def _nearest(self, name: str, values: Tensor) -> Tensor:
        book = getattr(self, name)
        flat = values.reshape(-1, values.shape[-1])
        found = torch.cat([nearest(part, book) for part in flat.split(_CHUNK)])
        if self.compat and name != "exp":
            away = (book[found] - flat).abs().amax(-1)
            found = torch.where(away <= (0 if name == "AU" else self.cell / 2 + 1e-6), found, 0)
        return found.reshape(values.shape[:-1])


def nearest(points: Tensor, book: Tensor) -> Tensor:
    """Index of the row of ``book`` (V, D) next to each of ``points`` (N, D); of equally near ones the first."""
    return torch.cdist(points.double(), book.double(), compute_mode="donot_use_mm_for_euclid_dist").argmin(-1)
