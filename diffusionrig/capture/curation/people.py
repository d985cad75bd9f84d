"""Whose album it is: the person on most of the photographs, and who is somebody else."""

from __future__ import annotations

import torch
from torch import Tensor

FEWEST = 4
"""With fewer photographs nobody is the majority."""


def likeness(rows: Tensor, same: float) -> Tensor | None:
    """Cosines (B,) of embeddings (B, D), rows of length 1, with the person of the album; None when that cannot be told.

    The person is looked for where most others are close: from the photograph that resembles the most others, the mean of those
    that resemble it, then of those that resemble the mean.
    """
    if len(rows) < FEWEST:
        return None
    cosines = rows @ rows.T
    near = (cosines >= same).sum(1)
    # Among equals the one with the larger sum: no decision by order.
    centre = rows[(near + cosines.sum(1) / (10 * len(rows))).argmax()]
    for _ in range(3):
        own = rows @ centre >= same
        if int(own.sum()) * 2 <= len(rows):
            return None
        centre = torch.nn.functional.normalize(rows[own].mean(0), dim=0)
    return rows @ centre
