"""Sources with all that an edit of them needs and that no edit changes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from diffusionrig.editing.analysis import Analysis
from diffusionrig.render.buffers import PhysicalBuffers


@dataclasses.dataclass
class Prepared:
    """B sources, computed once for all of their edits by ``Painter.prepare``.

    faces  with latents
    own    (B) buffers under their own codes; None where nothing of the sources is kept
    noise  (B, 3, S, S) from which the network draws the sources themselves; None likewise
    """

    faces: Analysis
    own: PhysicalBuffers | None = None
    noise: Tensor | None = None

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, index: int) -> Prepared:
        """One source, still with its batch axis."""
        rows = slice(index, index + 1 or None)
        return Prepared(self.faces[index], None if self.own is None else self.own[index],
                        None if self.noise is None else self.noise[rows])

    def repeat(self, count: int) -> Prepared:
        """One source as a batch of ``count``."""
        return Prepared.concatenate([self] * count)

    @staticmethod
    def concatenate(parts: Sequence[Prepared]) -> Prepared:
        """Sources prepared alike, joined along the batch."""
        own = [part.own for part in parts if part.own is not None]
        noise = [part.noise for part in parts if part.noise is not None]
        return Prepared(Analysis.concatenate([part.faces for part in parts]), _joined(own) if own else None,
                        torch.cat(noise) if noise else None)


def _joined(parts: Sequence[PhysicalBuffers]) -> PhysicalBuffers:
    return PhysicalBuffers(*(torch.cat([getattr(part, field.name) for part in parts])
                             for field in dataclasses.fields(PhysicalBuffers)))
