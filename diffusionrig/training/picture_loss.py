"""How far a drawn picture is from the truth: pixels and their differences, weighted by where it matters."""

from __future__ import annotations

from torch import Tensor

GRADIENT = 1.0
"""Weight of the differences between neighbouring pixels beside that of the pixels themselves: they hold lids, teeth and hair."""

SQUARED = 2.0
"""Weight of the squared error beside the absolute one: it counts large errors, which the eye meets first."""


FLOOR = 0.02
"""Added to the loss of the carried photograph, so that what is right already is not learned from."""


def picture_loss(predicted: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """(B,) losses of pictures (B, 3, S, S) in [-1, 1]; ``weight`` (B, 1, S, S) from 0 on says how much each pixel counts.

    The weighted mean over pixels of |e| + ``SQUARED`` e^2 + ``GRADIENT`` (|d_x e| + |d_y e|) / 2.
    """
    error = predicted - truth
    total = weight.sum((1, 2, 3)).clamp_min(1e-6) * error.shape[1]
    pixels = ((error.abs() + SQUARED * error.square()) * weight).sum((1, 2, 3))
    across = ((error[..., 1:] - error[..., :-1]).abs() * weight[..., 1:]).sum((1, 2, 3))
    down = ((error[..., 1:, :] - error[..., :-1, :]).abs() * weight[..., 1:, :]).sum((1, 2, 3))
    return (pixels + GRADIENT / 2 * (across + down)) / total


def relative_loss(predicted: Tensor, truth: Tensor, weight: Tensor, carried: Tensor) -> Tensor:
    """(B,) losses over the square roots of those of the ``carried`` photographs (B, 3, S, S).

    Errors differ tenfold between a turned head and a lifted brow. By themselves turned heads would have the network to themselves;
    relative to the carried photograph's, as decibels count, lifted brows would. The root lies between.
    """
    return picture_loss(predicted, truth, weight) / (picture_loss(carried, truth, weight) + FLOOR).sqrt()
