"""What is known before looking: how coefficients, expressions and lights are spread."""

from __future__ import annotations

import torch
from torch import Tensor

from diffusionrig.capture.fit.landmark_model import LandmarkModel
from diffusionrig.capture.fit.photometry import LightPrior
from diffusionrig.capture.fit.solver import Prior
from diffusionrig.geometry.arkit import ARKIT_NAMES

EXPRESSION_SPREAD = 0.25
GAZE_SPREAD = 0.25
JAW_SPREAD = 0.2


def coefficient_prior(model: LandmarkModel, names: tuple[str, ...], seen: Tensor) -> Prior:
    """Prior of all coefficients for B faces whose landmarker reported the 52 coefficients ``seen`` (B, 52).

    Identity is unit normal. Named expressions lie around the reported ones; unnamed ones (FLAME) are unit normal.
    """
    count = model.basis.shape[0]
    mean, spread = seen.new_zeros(len(seen), count), seen.new_ones(count)
    if set(names) <= set(ARKIT_NAMES):
        columns = torch.tensor([ARKIT_NAMES.index(name) for name in names], device=seen.device)
        mean[:, model.parts["expression"]] = seen[:, columns]
        spread[model.parts["expression"]] = EXPRESSION_SPREAD
    spread[model.parts["eyes"]] = GAZE_SPREAD
    spread[model.parts["jaw"]] = JAW_SPREAD
    return Prior(mean, torch.diag(spread ** -2))


def light_prior(like: Tensor) -> LightPrior:
    """A broad prior of white light that shows skin at ordinary brightness."""
    mean = like.new_zeros(9, 3)
    mean[0], mean[3] = 2.4, 0.15
    grey, tint = like.new_full((9,), 0.25), like.new_full((9,), 0.06)
    grey[0], tint[0] = 0.5, 0.12
    # Variance of a colour = shared part + part of its own, so grey lights are likelier than coloured ones.
    covariance = torch.einsum("i,ij,cd->icjd", grey**2, torch.eye(9).to(like), torch.ones(3, 3).to(like))
    covariance = covariance + torch.einsum("i,ij,cd->icjd", tint**2, torch.eye(9).to(like), torch.eye(3).to(like))
    return LightPrior(mean, torch.linalg.inv(covariance.reshape(27, 27)))
