"""What is known of captured faces, ready to be edited."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from diffusionrig.geometry.face_code import FaceCode


@dataclasses.dataclass
class Analysis:
    """B faces, captured and ready to be edited as often as wanted.

    images  (B, 3, S, S) in [-1, 1]
    code    the captured codes, with the person's mean shape where the model has one
    centre  (B, 3) FFHQ centre of the codes as captured, metres; edits keep the head there
    found   (B,) whether a face was found; an edit of one that was not is refused
    notes   one sentence per face, empty when there is nothing to say
    latent  (B, latent_dim) global latent of the images, which only a network gives: None until one has seen them
    """

    images: Tensor
    code: FaceCode
    centre: Tensor
    found: Tensor
    notes: list[str]
    latent: Tensor | None = None

    def __len__(self) -> int:
        return len(self.code)

    def __getitem__(self, index: int) -> Analysis:
        """One face, still with its batch axis."""
        rows = slice(index, index + 1) if index >= 0 else slice(index, index + 1 or None)
        return Analysis(self.images[rows], self.code[rows], self.centre[rows], self.found[rows], self.notes[rows],
                        None if self.latent is None else self.latent[rows])

    def rows(self, rows: Sequence[int]) -> Analysis:
        """Some of the faces."""
        return Analysis.concatenate([self[row] for row in rows])

    def without_images(self) -> Analysis:
        """The same faces with images (B, 3, 0, 0): codes and latents are all that an edit takes from its targets."""
        return dataclasses.replace(self, images=self.images.new_empty(len(self), 3, 0, 0))

    @staticmethod
    def concatenate(parts: Sequence[Analysis]) -> Analysis:
        """Analyses by one rig, joined along the batch."""
        images, centre, found = (torch.cat([getattr(part, name) for part in parts]) for name in ("images", "centre", "found"))
        latents = [part.latent for part in parts if part.latent is not None]
        return Analysis(images, FaceCode.concatenate([part.code for part in parts]), centre, found,
                        [note for part in parts for note in part.notes],
                        torch.cat(latents) if len(latents) == len(parts) else None)
