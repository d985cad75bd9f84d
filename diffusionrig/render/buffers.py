"""PhysicalBuffers: what the renderer gives the diffusion model to go by."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor


@dataclasses.dataclass
class PhysicalBuffers:
    """Rendered images of B faces, each exactly 0 outside the head.

    rendered  (B, 3, H, W)  albedo x spherical-harmonic shading, not clamped (may be negative or above 1)
    normal    (B, 3, H, W)  interpolated vertex normals in the head-model frame, not renormalised, -1..1
    albedo    (B, 3, H, W)  sampled albedo texture, about 0..1
    alpha     (B, 1, H, W)  1 where the head covers the pixel centre
    """

    rendered: Tensor
    normal: Tensor
    albedo: Tensor
    alpha: Tensor

    def stack(self) -> Tensor:
        """(B, 9, H, W): rendered, normal, albedo, the condition of the UNet, in the published channel order."""
        return torch.cat([self.rendered, self.normal, self.albedo], 1)

    def cleared(self) -> PhysicalBuffers:
        """Buffers of the same size without a face: zeros, the null condition."""
        return PhysicalBuffers(*(torch.zeros_like(getattr(self, field.name)) for field in dataclasses.fields(self)))

    def __len__(self) -> int:
        return self.alpha.shape[0]

    def __getitem__(self, index: int | slice) -> PhysicalBuffers:
        """A sub-batch; an integer keeps the batch axis."""
        rows = slice(index, index + 1 or None) if isinstance(index, int) else index
        return PhysicalBuffers(self.rendered[rows], self.normal[rows], self.albedo[rows], self.alpha[rows])

    @staticmethod
    def concatenate(parts: Sequence[PhysicalBuffers]) -> PhysicalBuffers:
        """Buffers of one size, joined along the batch."""
        return PhysicalBuffers(*(torch.cat([getattr(part, field.name) for part in parts])
                                 for field in dataclasses.fields(PhysicalBuffers)))

    def to(self, device: torch.device | str) -> PhysicalBuffers:
        """The same buffers on another device."""
        return PhysicalBuffers(*(getattr(self, field.name).to(device) for field in dataclasses.fields(self)))
