"""What the landmarker really marks on the open head, learned once from renders with known codes.

The landmarker is no ruler: it answers a raised brow by nine tenths, pulls unusual faces towards the usual, and its 478
errors move together. Learned here: where each landmark lies and how it moves with each coefficient (ridge regression on
top of the tie), the principal modes of the remaining errors, a first answer by regression, and how the skin of photographs
departs from what the head model can paint. Modes join the unknowns of the fit with unit priors, which is the same as
whitening by the full error covariance.
``scripts/calibrate_fit.py`` makes the file.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor

from diffusionrig.capture.fit.correspondence import LandmarkTie, fits
from diffusionrig.capture.fit.landmark_model import LandmarkModel
from diffusionrig.capture.fit.regression import Regression
from diffusionrig.capture.fit.surface import Surface, build_surface
from diffusionrig.geometry.head import HeadModel
from diffusionrig.io.assets import PACKAGE_ASSETS, read_asset
from diffusionrig.io.npz import read_arrays

ASSET = "fit_calibration.npz"
TOLERANCE = 5e-4
"""Metres by which landmarks may lie elsewhere, neutral or not, before a calibration counts as another head's."""


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Learned on one head (C coefficients of the landmark model, N landmarks, K error modes).

    mean (N, 3), basis (C, N, 3)  landmarks as the landmarker marks them, metres, head frame
    modes (K, N, 3)               one standard deviation of each error mode
    sigma (N, 3)                  standard deviation of what remains
    light_mean (9, 3), light_precision (27, 27)  spread of lights
    skin_face (P,), skin_barycentric (P, 3)      places of the surface samples
    skin_mean (P, 3), skin_modes (M, P, 3)       how skin in photographs departs from the head's albedo model: shadows in
                                                 folds, shine, beards, hair; one standard deviation of each mode
    regression                    the first answer, and how far to trust it
    """

    mean: Tensor
    basis: Tensor
    modes: Tensor
    sigma: Tensor
    light_mean: Tensor
    light_precision: Tensor
    skin_face: Tensor
    skin_barycentric: Tensor
    skin_mean: Tensor
    skin_modes: Tensor
    regression: Regression

    def to(self, device: torch.device | str) -> Calibration:
        """The same on another device."""
        moved = {name: getattr(self, name).to(device) for name in _ARRAYS}
        regression = Regression(*(getattr(self.regression, field.name).to(device) for field in dataclasses.fields(Regression)))
        return dataclasses.replace(self, **moved, regression=regression)


_ARRAYS = tuple(field.name for field in dataclasses.fields(Calibration) if field.name != "regression")


def shipped_calibration(head: HeadModel, tie: LandmarkTie) -> Calibration | None:
    """The calibration that ships with the package, float64; None when it was made for another head than ``head``."""
    if not (PACKAGE_ASSETS / ASSET).is_file():
        return None
    arrays = read_arrays(read_asset(ASSET), f"assets/{ASSET}")
    if not fits(tie, torch.from_numpy(arrays["probe"]), head, TOLERANCE):
        return None
    values = {name: torch.from_numpy(array.astype(np.float64)) for name, array in arrays.items()}
    regression = Regression(*(values[field.name] for field in dataclasses.fields(Regression)))
    return Calibration(**{name: values[name] for name in _ARRAYS}, regression=regression)


def photographed_surface(head: HeadModel, model: LandmarkModel, learned: Calibration) -> Surface:
    """The surface samples with the learned departures as further albedo components, after the head's own."""
    surface = build_surface(head, model, learned.skin_face.long(), learned.skin_barycentric.float())
    return dataclasses.replace(surface, albedo=surface.albedo + learned.skin_mean.float(),
                               albedo_basis=torch.cat([surface.albedo_basis, learned.skin_modes.float()]))


def calibrated(model: LandmarkModel, learned: Calibration) -> LandmarkModel:
    """The landmark model with learned landmarks, and the error modes as a further part "error" of its coefficients."""
    start, count = len(model.basis), len(learned.modes)
    infinite = model.lower.new_full((count,), float("inf"))
    return dataclasses.replace(
        model, mean=learned.mean, basis=torch.cat([learned.basis, learned.modes]),
        lower=torch.cat([model.lower, -infinite]), upper=torch.cat([model.upper, infinite]),
        parts={**model.parts, "error": slice(start, start + count)})
