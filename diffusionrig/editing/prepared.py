"""Sources with all that an edit of them needs and that no edit changes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from diffusionrig.editing.analysis import Analysis
from diffusionrig.render.buffers import PhysicalBuffers
from diffusionrig.render.posing import Posed


@dataclasses.dataclass
class Prepared:
    """B sources, computed once for all of their edits by ``Painter.prepare``.

    faces  with latents
    own    (B) buffers under their own codes; None where nothing of the sources is kept
    noise  (B, 3, S, S) from which the network draws the sources themselves; None likewise
    posed  (B) their heads in their pictures, and ``layers`` (B, 4, S, S) of these (``render.layers``); None but under the
           reference condition
    """

    faces: Analysis
    own: PhysicalBuffers | None = None
    noise: Tensor | None = None
    posed: Posed | None = None
    layers: Tensor | None = None

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, index: int) -> Prepared:
        """One source, still with its batch axis."""
        rows = slice(index, index + 1 or None)
        return Prepared(self.faces[index], None if self.own is None else self.own[index],
                        None if self.noise is None else self.noise[rows],
                        None if self.posed is None else self.posed.rows([index % len(self)]),
                        None if self.layers is None else self.layers[rows])

    def repeat(self, count: int) -> Prepared:
        """One source as a batch of ``count``."""
        return Prepared.concatenate([self] * count)

    @staticmethod
    def concatenate(parts: Sequence[Prepared]) -> Prepared:
        """Sources prepared alike, joined along the batch; a single one is itself."""
        if len(parts) == 1:
            return parts[0]
        own = [part.own for part in parts if part.own is not None]
        noise, posed, layers = ([getattr(part, name) for part in parts if getattr(part, name) is not None]
                                    for name in ("noise", "posed", "layers"))
        return Prepared(Analysis.concatenate([part.faces for part in parts]), PhysicalBuffers.concatenate(own) if own else None,
                        torch.cat(noise) if noise else None, Posed.concatenate(posed) if posed else None,
                        torch.cat(layers) if layers else None)

