"""The light of a clip: found now and then under the person's own skin, and slow in between."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from diffusionrig.capture.fit.encoder import FitEncoder
from diffusionrig.capture.fit.frames import crop_transform, level, pose_in_crop
from diffusionrig.capture.fit.photometry import fit_light_and_albedo
from diffusionrig.capture.fit.priors import light_prior
from diffusionrig.capture.fit.projection import Pose
from diffusionrig.capture.fit.view import look
from diffusionrig.capture.tracking.frame_fit import Moment
from diffusionrig.capture.tracking.person import Person
from diffusionrig.capture.tracking.portraits import Portrait
from diffusionrig.capture.tracking.steadying import steadied

EVERY = 1.0
"""Seconds from one look at the light to the next."""

MOST = 400
"""Looks in a clip; in longer ones they are farther apart."""

GLIMPSE = 224
"""Side in pixels of the cuts in which it is looked for: no more is seen of larger ones."""

SLOW = 0.3
"""Hertz that a resting light is smoothed to."""


@torch.no_grad()
def light_of(encoder: FitEncoder, person: Person, shown: Portrait, moment: Moment) -> Tensor:
    """(9, 3): the light that the ``person`` stands in, in a frame fitted as ``moment``."""
    assert shown.face.points is not None
    points = torch.from_numpy(shown.face.points)[None].double().to(encoder.device)
    points[..., :2] += 0.5
    crop = crop_transform(torch.from_numpy(shown.face.points68)[None].double().to(encoder.device) + 0.5)
    reduced = pose_in_crop(moment.level, level(points)[1], crop)
    pose = whole_pose(encoder, person, reduced)
    view = look([shown.image], crop.float())
    samples = encoder.skin_samples(pose, view, encoder.visible(pose, crop.float()))
    # The skin is known; what the albedo model cannot paint (shine, folds) is free, as in a capture.
    own = encoder.head.n_albedo
    albedo = samples.albedo + torch.einsum("bk,kpc->bpc", person.albedo.to(samples.albedo), samples.basis[:own])
    samples = dataclasses.replace(samples, albedo=albedo, basis=samples.basis[own:])
    return fit_light_and_albedo(samples, light_prior(crop.float(), encoder.learned), encoder.steady_noise(crop.float()))[0][0].cpu()


def whole_pose(encoder: FitEncoder, person: Person, pose: Pose) -> Pose:
    """A pose of the reduced model with the person's identity among its coefficients again."""
    held = encoder.model.parts["shape"]
    shape = person.shape[:, held].to(pose.coefficients)
    coefficients = torch.cat([pose.coefficients[:, :held.start], shape, pose.coefficients[:, held.start:]], 1)
    return Pose(pose.rotation, pose.scale, pose.shift, coefficients)


def light_path(numbers: Sequence[int], lights: Sequence[Tensor], count: int, fps: float) -> Tensor:
    """(count, 9, 3) lights of all frames, from those of the frames ``numbers``."""
    rows = torch.stack(list(lights)).flatten(1).double().numpy()
    gaps = np.diff(numbers)
    rate = fps / max(float(np.median(gaps)), 1.0) if len(gaps) else 1.0
    calm = steadied(rows, np.ones(len(rows), bool), rate, SLOW)
    path = np.stack([np.interp(np.arange(count), numbers, column) for column in calm.T], 1)
    return torch.from_numpy(path).float().reshape(count, 9, 3)
