"""How far a fit can be trusted, from what it left unexplained."""

from __future__ import annotations

from torch import Tensor

POINTS_HALF = 0.06
"""Landmark error, in units of the eye distance, at which half of the trust is gone."""

COLOUR_HALF = 0.15
"""Colour error (0..1) at which half of the trust is gone: hats, hands and masks differ from skin by more."""


def confidence(presence: Tensor, landmark_error: Tensor, colour_error: Tensor) -> Tensor:
    """Each (B,) -> (B,) in 0..1: the product of the landmarker's face probability and two soft thresholds.

    ``landmark_error`` is the mean reprojection error over the eye distance, ``colour_error`` the robust root mean
    square error of skin colours.
    """
    points = 1 / (1 + (landmark_error / POINTS_HALF) ** 4)
    colours = 1 / (1 + (colour_error / COLOUR_HALF) ** 4)
    return presence * points * colours
