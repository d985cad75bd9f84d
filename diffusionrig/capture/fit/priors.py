"""What is known before looking: how coefficients, expressions and lights are spread."""

from __future__ import annotations

import torch
from torch import Tensor

from diffusionrig.capture.fit.calibration import Calibration
from diffusionrig.capture.fit.landmark_model import LandmarkModel
from diffusionrig.capture.fit.photometry import LightPrior
from diffusionrig.capture.fit.regression import regress
from diffusionrig.capture.fit.solver import Prior
from diffusionrig.geometry.arkit import ARKIT_NAMES

EXPRESSION_SPREAD = 0.25
"""Of named expressions about the reported coefficients, where no calibration says better."""

GAZE_SPREAD = 0.2
JAW_SPREAD = 0.2


def plain_prior(model: LandmarkModel, names: tuple[str, ...], seen: Tensor) -> Prior:
    """Prior for a head without calibration: reported coefficients ``seen`` (B, 52).

    Identity and unnamed expressions (FLAME) are unit normal, named expressions lie around the reported ones; nothing is
    known of the rotation.
    """
    count = len(model.basis)
    spread = seen.new_ones(count)
    spread[model.parts["eyes"]] = GAZE_SPREAD
    spread[model.parts["jaw"]] = JAW_SPREAD
    mean = seen.new_zeros(len(seen), count)
    if set(names) <= set(ARKIT_NAMES):
        mean[:, model.parts["expression"]] = seen[:, [ARKIT_NAMES.index(name) for name in names]]
        spread[model.parts["expression"]] = EXPRESSION_SPREAD
    precision = torch.diag(torch.cat([spread.new_zeros(3), spread**-2]))
    return Prior(torch.eye(3).to(mean).expand(len(mean), 3, 3), mean, precision)


def learned_prior(model: LandmarkModel, learned: Calibration, target: Tensor, seen: Tensor) -> Prior:
    """The regression's answer as prior; error modes are unit normal. ``model`` is the calibrated one."""
    first = regress(learned.regression, model, target, seen)
    count, errors = first.mean.shape[1], len(model.basis) - first.mean.shape[1]
    precision = torch.eye(3 + count + errors).to(first.precision)
    precision[:3 + count, :3 + count] = first.precision
    mean = torch.cat([first.mean, first.mean.new_zeros(len(first.mean), errors)], 1)
    return Prior(first.rotation, mean, precision)


def light_prior(like: Tensor, learned: Calibration | None) -> LightPrior:
    """The learned spread of lights, else a broad prior of nearly white light that shows skin at ordinary brightness."""
    if learned is not None:
        return LightPrior(learned.light_mean.to(like), learned.light_precision.to(like))
    mean = like.new_zeros(9, 3)
    mean[0], mean[2], mean[3] = 2.9, 0.2, 0.2
    grey, tint = like.new_full((9,), 0.16), like.new_full((9,), 0.04)
    grey[0], tint[0] = 0.45, 0.12
    # Variance of a colour = shared part + part of its own, so grey lights are likelier than coloured ones.
    bands, colours = torch.eye(9).to(like), torch.eye(3).to(like)
    covariance = (torch.einsum("i,ij,cd->icjd", grey**2, bands, torch.ones_like(colours))
                  + torch.einsum("i,ij,cd->icjd", tint**2, bands, colours))
    return LightPrior(mean, torch.linalg.inv(covariance.reshape(27, 27)))
