"""What is known before looking: how coefficients, expressions and lights are spread."""

from __future__ import annotations

import torch
from torch import Tensor

from diffusionrig.capture.fit.calibration import Calibration
from diffusionrig.capture.fit.landmark_model import LandmarkModel
from diffusionrig.capture.fit.photometry import LightPrior
from diffusionrig.capture.fit.solver import Prior
from diffusionrig.geometry.arkit import ARKIT_NAMES

EXPRESSION_SPREAD = 0.25
"""Of named expressions about the reported coefficients, where no calibration says better."""

GAZE_SPREAD = 0.2
JAW_SPREAD = 0.2


def coefficient_prior(model: LandmarkModel, names: tuple[str, ...], seen: Tensor, learned: Calibration | None) -> Prior:
    """Prior of all coefficients for B faces whose landmarker reported the 52 coefficients ``seen`` (B, 52).

    Identity, error modes and unnamed expressions (FLAME) are unit normal. Calibrated expressions have the learned spread
    times the likelihood of what was reported; without calibration named ones lie around the reported ones.
    """
    count = len(model.basis)
    spread = seen.new_ones(count)
    spread[model.parts["eyes"]] = GAZE_SPREAD
    spread[model.parts["jaw"]] = JAW_SPREAD
    part = model.parts["expression"]
    if learned is None:
        mean = seen.new_zeros(len(seen), count)
        if set(names) <= set(ARKIT_NAMES):
            mean[:, part] = seen[:, [ARKIT_NAMES.index(name) for name in names]]
            spread[part] = EXPRESSION_SPREAD
        return Prior(mean, torch.diag(spread**-2))
    precision = torch.diag(spread**-2)
    precision[part, part] = learned.expression_precision + learned.gain @ learned.precision @ learned.gain.T
    pull = learned.expression_precision @ learned.expression_mean + (seen - learned.offset) @ learned.precision @ learned.gain.T
    mean = seen.new_zeros(len(seen), count)
    mean[:, part] = torch.linalg.solve(precision[part, part], pull.T).T
    return Prior(mean, precision)


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
