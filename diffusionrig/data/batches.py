"""Batches as the network takes them: photographs in [-1, 1] and the physical buffers they were captured as."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.render.physical import render_buffers


@dataclasses.dataclass
class Batch:
    """image    (B, 3, S, S) float32, RGB in [-1, 1]
    buffers  (B, 9, S, S) float32: rendered, normal, albedo
    index    (B,) int64: which records of the store these are
    """

    image: Tensor
    buffers: Tensor
    index: Tensor

    def __len__(self) -> int:
        return self.image.shape[0]

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device; the copy does not wait when the source is pinned."""
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in (self.image, self.buffers, self.index)))


def scale_images(images: Tensor) -> Tensor:
    """uint8 0..255 to float32 [-1, 1], as ToTensor and (x - 0.5) / 0.5 in the published loader."""
    return (images.float() / 255.0 - 0.5) / 0.5


@torch.no_grad()
def render_codes(codes: FaceCode, head: HeadModel, size: int, mean_shape: Tensor | None = None) -> Tensor:
    """(B, 9, size, size) buffers of ``codes`` on their device; ``mean_shape`` (1, n_shape) replaces every shape.

    ``head`` must be on the same device. There is no FFHQ-centre move: training buffers are drawn without it.
    """
    if mean_shape is not None:
        codes = codes.replace(shape=mean_shape.to(codes.shape).expand_as(codes.shape))
    return render_buffers(head, codes, size).stack()


def render_batch(images: Tensor, codes: FaceCode, head: HeadModel, size: int, index: Tensor | None = None,
                 mean_shape: Tensor | None = None) -> Batch:
    """A Batch from (B, 3, size, size) uint8 ``images`` and their ``codes``, rendered on the device of ``codes``."""
    device = codes.pose.device
    where = torch.arange(len(codes)) if index is None else index
    return Batch(scale_images(images.to(device, non_blocking=True)), render_codes(codes, head, size, mean_shape),
                 where.to(device))
