"""What moves from frame to frame, solved with the person held: rotation, place, size, expression and gaze.

The same maximum a posteriori fit as of single pictures (``capture.fit``), conditioned on the identity: Gaussian priors, given some
of their numbers, stay Gaussian. Nine tenths of a single fit's work is gone, since identity and colours no longer take part, and
since a frame starts where the last one ended.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor

from diffusionrig.capture.fit.brows import brow_strip, with_brows
from diffusionrig.capture.fit.encoder import HIDDEN_WEIGHT, ROBUST, VISIBLE_FROM, VISIBLE_TO, FitEncoder
from diffusionrig.capture.fit.frames import level, pose_in_crop
from diffusionrig.capture.fit.landmark_model import LandmarkModel
from diffusionrig.capture.fit.photographs import as_photographed
from diffusionrig.capture.fit.priors import plain_prior
from diffusionrig.capture.fit.projection import Pose, project_landmarks
from diffusionrig.capture.fit.regression import regress
from diffusionrig.capture.fit.rigid import solid_pose
from diffusionrig.capture.fit.solver import Observation, Prior, solve
from diffusionrig.capture.tracking.person import Person
from diffusionrig.faces.face import Face
from diffusionrig.geometry.arkit import ARKIT_NAMES
from diffusionrig.geometry.rotations import axis_angle_to_matrix

STARTED, FIRST = (2,), (4, 4)
"""Iterations with the visibility of the first pose, then with that of the better one: from the frame before, and from nothing. More
change a started frame's expressions by .001."""


def seen_face(face: Face, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Levelled landmarks (1, 478, 3), reported coefficients (1, 52) and landmarks in pixels from the picture's edge (1, 478, 3)."""
    assert face.points is not None
    assert face.coefficients is not None
    points = torch.from_numpy(face.points)[None].double().to(device)
    points[..., :2] += 0.5  # Face counts from the centre of the first pixel, cameras from its edge.
    return level(points)[0], torch.from_numpy(face.coefficients)[None].double().to(device), points


@dataclasses.dataclass(frozen=True)
class Moment:
    """One fitted frame. ``pose`` in units of the picture as a crop of its own (``PIXELS``), ``level`` the same in the levelled
    frame with all coefficients of the reduced model, ``error`` the mean distance of landmarks over that of the eyes."""

    pose: Pose
    level: Pose
    error: float


PIXELS = torch.eye(3, dtype=torch.float64)[None]
"""The picture itself as a crop: its plane is pixels / 112 - 1, y up."""


class FrameFit:
    """Fits frames of one ``person`` with what ``encoder`` knows; on its device, one frame at a time."""

    def __init__(self, encoder: FitEncoder, person: Person) -> None:
        self._encoder = encoder
        whole, held = encoder.model, encoder.model.parts["shape"]
        self._shape = person.shape[0, held].double().to(whole.mean)
        self.model = without_identity(whole, held, self._shape)
        self._share = person.share.to(whole.mean)
        self._held = held
        first = self.model.parts["expression"].start
        self._brows = [] if encoder.brows is None else [first + column for column in encoder.brows.columns]
        self._physical = torch.ones_like(self.model.lower)
        if "error" in self.model.parts:
            self._physical[self.model.parts["error"]] = 0
        self._gain, self._precision = self._what_is_left()

    def __call__(self, face: Face, brows: tuple[Tensor, Tensor] | None, last: Moment | None = None) -> Moment:
        """``brows`` as from ``read_brows``; ``last`` is the fit of the frame before, if the clip goes on."""
        target, seen, points = seen_face(face, self._encoder.device)
        prior = self._prior(target, seen, brows)
        weight = self._encoder.reliability.expand(1, -1)
        start = prior.mean if last is None else last.level.coefficients
        pose = solid_pose(self.model, target, weight, torch.clamp(start, self.model.lower, self.model.upper))
        sigma = self._encoder.sigma * pose.scale[:, None, None]
        for iterations in FIRST if last is None else STARTED:
            turned = (self.model.normals @ pose.rotation.transpose(1, 2))[..., 2]
            shown = ((turned - VISIBLE_FROM) / (VISIBLE_TO - VISIBLE_FROM)).clamp(HIDDEN_WEIGHT, 1)
            pose = solve(self.model, pose, Observation(target, sigma, weight * shown, ROBUST), prior, iterations)
        bare = Pose(pose.rotation, pose.scale, pose.shift, pose.coefficients * self._physical)
        away = (project_landmarks(self.model, bare)[..., :2] - target[..., :2]).norm(dim=-1).mean()
        eyes = (target[:, 468, :2] - target[:, 473, :2]).norm()
        return Moment(pose_in_crop(pose, level(points)[1], PIXELS.to(points)), pose, float(away / eyes.clamp_min(1e-9)))

    def _what_is_left(self) -> tuple[Tensor, Tensor]:
        """How the prior's mean moves with the surprise of the identity (3 + C, S), and its precision (3 + C, 3 + C) once that is
        known; the same for every frame."""
        encoder, like = self._encoder, self.model.mean
        if encoder.learned is None:
            blank = plain_prior(encoder.model, encoder.head.expression_names, like.new_zeros(1, len(ARKIT_NAMES)))
        else:
            known = encoder.learned.regression.precision
            errors = len(encoder.model.basis) + 3 - len(known)
            blank = Prior(torch.eye(3).to(like)[None], like.new_zeros(1, len(encoder.model.basis)),
                          torch.block_diag(known, torch.eye(errors).to(known)))
            blank = as_photographed(blank, encoder.model.parts, self._share)
        return given(blank.precision.reshape(blank.precision.shape[-2:]), self._held)

    def _prior(self, target: Tensor, seen: Tensor, brows: tuple[Tensor, Tensor] | None) -> Prior:
        encoder = self._encoder
        if encoder.learned is None:
            first = plain_prior(encoder.model, encoder.head.expression_names, seen)
        else:
            first = regress(encoder.learned.regression, encoder.model, target, seen)
        held, mean = self._held, first.mean
        step = ((self._shape - mean[:, held]) @ self._gain.T)
        rest = torch.cat([mean[:, :held.start], mean[:, held.stop:]], 1)
        rest = torch.nn.functional.pad(rest, (0, len(self._gain) - 3 - rest.shape[1]))
        prior = Prior(first.rotation @ axis_angle_to_matrix(step[:, :3]), rest + step[:, 3:], self._precision)
        return prior if brows is None else with_brows(prior, self._brows, *brows)


def read_brows(encoder: FitEncoder, image: np.ndarray, face: Face) -> tuple[Tensor, Tensor] | None:
    """What the reader of brows says of a face: values (1, 5) and their covariance (1, 5, 5); None where there is no reader."""
    if encoder.brows is None or encoder.learned is None or face.points is None:
        return None
    target, seen, _ = seen_face(face, encoder.device)
    strip = torch.from_numpy(brow_strip(image, face.points))[None, None].float().to(encoder.device)
    return encoder.brows.read(encoder.learned.regression, encoder.model, strip, target, seen)


def without_identity(model: LandmarkModel, held: slice, shape: Tensor) -> LandmarkModel:
    """The landmark model of one person: ``shape`` (S,) is in its mean, the part "shape" is empty."""
    keep = [i for i in range(len(model.basis)) if not held.start <= i < held.stop]
    count = held.stop - held.start
    parts = {name: slice(part.start - count, part.stop - count) for name, part in model.parts.items() if name != "shape"}
    mean = model.mean + torch.einsum("s,snk->nk", shape, model.basis[held])
    return dataclasses.replace(model, mean=mean, basis=model.basis[keep], lower=model.lower[keep], upper=model.upper[keep],
                               parts={"shape": slice(0, 0), **parts})


def given(precision: Tensor, held: slice) -> tuple[Tensor, Tensor]:
    """What is left of a Gaussian (turn, then coefficients) with this ``precision`` when the coefficients ``held`` are known: how
    its mean moves for each unit by which these differ from their own mean (R, S), and its precision (R, R)."""
    known = torch.zeros(len(precision), dtype=torch.bool, device=precision.device)
    known[3 + held.start:3 + held.stop] = True
    rest, known_at = (~known).nonzero()[:, 0], known.nonzero()[:, 0]
    inner = precision[rest[:, None], rest]
    # A prior that says nothing of the rotation has no precision there, and nothing to move.
    steady = inner + 1e-9 * torch.eye(len(inner)).to(inner)
    return -torch.linalg.solve(steady, precision[rest[:, None], known_at]), inner
