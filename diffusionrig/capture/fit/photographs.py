"""What changes when a face is photographed rather than drawn.

The calibration learned how the landmarker errs on drawn heads, and how skin shows there. Of photographs it knows less: the
landmarker, which learned from photographs, errs less on them, while its answers for their faces (teeth, folds, cheeks) lie far
from those for drawn heads, so that the first answer by regression reads strong smiles as weaker than they are, and colours that
the albedo model does not explain pull lids and lips along. A linear discriminant (Fisher 1936) of what the landmarker says tells
both apart; the likelier a photograph, the wider the prior of the expressions, the narrower that of the identity and of the
landmarker's errors, and the less colours count for the geometry.

Real smiles move landmarks in ways that no expression of the head does, so that the identity takes part of every smile. Who
somebody is does not depend on whether they smile: over many photographs, one of each person, what of the identity can be told
from the smile and the opening of the jaw is that part. It is taken out again, and the expression explains the landmarks as well as
it can without it. ``scripts/calibrate_photographs.py`` makes the file.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor

from diffusionrig.capture.fit.brows import brow_features, regression_digest
from diffusionrig.capture.fit.landmark_model import LandmarkModel
from diffusionrig.capture.fit.projection import N_RIGID, Pose, step_pose
from diffusionrig.capture.fit.refine import LandmarkPosterior
from diffusionrig.capture.fit.regression import Regression
from diffusionrig.capture.fit.solver import Prior
from diffusionrig.errors import RigError
from diffusionrig.io.assets import PACKAGE_ASSETS, read_asset
from diffusionrig.io.npz import read_arrays

ASSET = "fit_photographs.npz"

SPREADS = {"expression": 2.5, "shape": 0.5, "error": 0.5}
"""Standard deviations of the prior on photographs, over those on drawn heads. Chosen on one half of the pairs that
``benchmarks/expressions.py`` measures: expressions err by more there than the regression's errors on drawn heads say, and a face
that may change its identity instead of smiling would."""

COLOUR_SPREAD = 16.0
"""Of the colours' error, while they move the geometry, likewise."""


ACTIONS = (("mouthSmileLeft", "mouthSmileRight"), ("jawOpen",))
"""Means of these expressions tell what the identity took of them."""


@dataclasses.dataclass(frozen=True)
class Photographs:
    """What was learned of photographs, with F signs, A = len(ACTIONS) actions and S identity coefficients.

    weights (F,), bias ()        the logarithm of the odds of a photograph is weights . signs + bias
    usual (A,), absorbed (A, S)  mean actions, and the change of the identity per unit of each
    actions (A, E)               takes expressions to actions
    """

    weights: Tensor
    bias: Tensor
    usual: Tensor
    absorbed: Tensor
    actions: Tensor

    def share(self, learned: Regression, model: LandmarkModel, target: Tensor, seen: Tensor) -> Tensor:
        """(B,) 0..1, how likely faces with levelled landmarks ``target`` (B, N, 3) and reported coefficients ``seen`` (B, 52)
        were photographed."""
        return (signs(learned, model, target, seen).to(self.weights) @ self.weights + self.bias).sigmoid()

    def change(self, expression: Tensor, share: Tensor) -> Tensor:
        """(B, S): by how much the identity of faces with ``expression`` (B, E) is to move, as far as they are photographs."""
        return -share[:, None] * (expression @ self.actions.T - self.usual) @ self.absorbed


def signs(learned: Regression, model: LandmarkModel, target: Tensor, seen: Tensor) -> Tensor:
    """(B, F) float32: the standardised coefficients and landmark components of the regression, without their products with the
    head's turn."""
    return brow_features(learned, model, target, seen)[:, :seen.shape[1] + learned.point_basis.shape[1]]


def action_matrix(names: tuple[str, ...]) -> Tensor:
    """(A, E) float64: the means over ACTIONS of expressions called ``names``."""
    return torch.tensor([[(name in members) / len(members) for name in names] for members in ACTIONS], dtype=torch.float64)


def as_photographed(prior: Prior, parts: dict[str, slice], share: Tensor) -> Prior:
    """``prior`` with standard deviations multiplied by SPREADS to the power of ``share`` (B,), correlations as they were."""
    spread = torch.ones_like(prior.mean)
    for name, factor in SPREADS.items():
        if name in parts:
            spread[:, parts[name]] = factor ** share[:, None].to(spread)
    spread = torch.cat([torch.ones_like(spread[:, :3]), spread], 1)
    return Prior(prior.rotation, prior.mean, prior.precision / (spread[:, :, None] * spread[:, None]))


def with_identity_moved(model: LandmarkModel, start: LandmarkPosterior, pose: Pose, change: Tensor) -> Pose:
    """``pose`` (crop plane) with its identity moved by ``change`` (B, S), and all else following as the landmark fit ``start``
    says: the minimum of its quadratic over the rest (Schur complement)."""
    count = start.precision.shape[1]
    identity = torch.arange(N_RIGID, N_RIGID + change.shape[1], device=change.device) + model.parts["shape"].start
    others = torch.ones(count, dtype=torch.bool, device=change.device)
    others[identity] = False
    rest = others.nonzero()[:, 0]
    pull = start.precision[:, rest[:, None], identity] @ change[..., None]
    step = change.new_zeros(len(change), N_RIGID + len(model.basis))
    step[:, identity] = change
    step[:, rest] = -torch.linalg.solve(start.precision[:, rest[:, None], rest], pull)[..., 0]
    return step_pose(pose, step, model.lower, model.upper)


def shipped_photographs(learned: Regression, names: tuple[str, ...], device: torch.device) -> Photographs | None:
    """What ships, for a head with these expressions; None when it is not there. RigError when it was made with another
    calibration."""
    if not (PACKAGE_ASSETS / ASSET).is_file():
        return None
    arrays = read_arrays(read_asset(ASSET), f"assets/{ASSET}")
    if str(arrays["regression"]) != regression_digest(learned):
        raise RigError("What FIT knows of photographs was learned with another calibration; run "
                       "scripts/calibrate_photographs.py again.")
    values = [torch.from_numpy(arrays[name].astype(np.float64)) for name in ("weights", "bias", "usual", "absorbed")]
    return Photographs(*(value.to(device) for value in (*values, action_matrix(names))))
