"""Laying one head over another by landmarks: a similarity, then a thin-plate spline."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor


@dataclasses.dataclass(frozen=True)
class Similarity:
    """x -> scale * rotation @ x + shift; rotation (3, 3), shift (3,)."""

    scale: Tensor
    rotation: Tensor
    shift: Tensor

    def points(self, points: Tensor) -> Tensor:
        """Points (..., 3)."""
        return self.vectors(points) + self.shift

    def vectors(self, vectors: Tensor) -> Tensor:
        """Displacements (..., 3)."""
        return self.scale * vectors @ self.rotation.T


def similarity(source: Tensor, target: Tensor) -> Similarity:
    """The similarity that takes points (N, 3) to others in the sense of least squares (Umeyama 1991)."""
    middle, centre = source.mean(0), target.mean(0)
    centred, wanted = source - middle, target - centre
    left, values, right = torch.linalg.svd(wanted.T @ centred)
    sign = values.new_tensor([1.0, 1.0, float(torch.det(left @ right).sign())])
    rotation = left @ (sign[:, None] * right)
    scale = (values * sign).sum() / centred.square().sum()
    return Similarity(scale, rotation, centre - scale * rotation @ middle)


def thin_plate(source: Tensor, target: Tensor, slack: Tensor, points: Tensor) -> Tensor:
    """Move ``points`` (P, 3) by the smoothest map that takes ``source`` (N, 3) to ``target`` (N, 3).

    ``slack`` (N,) in metres lets a landmark miss: zero interpolates it. The kernel of bending energy in space is the
    distance itself (Duchon 1977), with an affine part that costs nothing.
    """
    count = len(source)
    affine = torch.cat([source, torch.ones_like(source[:, :1])], 1)
    system = source.new_zeros(count + 4, count + 4)
    system[:count, :count] = torch.diag(slack) - torch.cdist(source, source)
    system[:count, count:], system[count:, :count] = affine, affine.T
    wanted = torch.cat([target, target.new_zeros(4, 3)])
    weights = torch.linalg.solve(system, wanted)
    return -torch.cdist(points, source) @ weights[:count] + torch.cat([points, torch.ones_like(points[:, :1])], 1) @ weights[count:]
