"""FIT: the encoder that needs no registered files. Landmarks, their 52 coefficients and photometry -> FaceCode."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from diffusionrig.capture.encoder import FLAG_BELOW, Capture, EncoderOptions
from diffusionrig.capture.fit.brows import brow_strip, shipped_reader, with_brows
from diffusionrig.capture.fit.calibration import calibrated, photographed_surface, shipped_calibration
from diffusionrig.capture.fit.confidence import confidence
from diffusionrig.capture.fit.correspondence import find_tie
from diffusionrig.capture.fit.finding import find_face
from diffusionrig.capture.fit.frames import crop_transform, level, points_in_crop
from diffusionrig.capture.fit.landmark_model import EYE_COLUMNS, LandmarkModel, build_landmark_model, neutral_code
from diffusionrig.capture.fit.photographs import COLOUR_SPREAD, as_photographed, shipped_photographs, with_identity_moved
from diffusionrig.capture.fit.photometry import ColourNoise, SkinSamples, fit_light_and_albedo
from diffusionrig.capture.fit.priors import learned_prior, light_prior, plain_prior
from diffusionrig.capture.fit.projection import Pose, project_landmarks
from diffusionrig.capture.fit.refine import (
    Appearance,
    LandmarkPosterior,
    facing,
    landmark_posterior,
    place_samples,
    refine,
)
from diffusionrig.capture.fit.rigid import solid_pose
from diffusionrig.capture.fit.solver import Observation, Prior, solve
from diffusionrig.capture.fit.surface import build_surface, choose_places, samples_of
from diffusionrig.capture.fit.view import look, sample_view
from diffusionrig.errors import UsageError
from diffusionrig.faces.face import Face
from diffusionrig.faces.landmarker import FaceLandmarker
from diffusionrig.geometry.camera import image_points
from diffusionrig.geometry.face_code import CROP_SIZE, FaceCode, whole_frame_crop
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.rotations import matrix_to_axis_angle
from diffusionrig.render.physical import DEPTH_OFFSET, rasterize_points
from diffusionrig.render.shading import sh_basis

N_SHAPE = 60
"""Identity coefficients that are fitted; the others stay zero."""

BATCH = 16
"""Faces fitted together on a GPU. A CPU fits them one by one: that costs a tenth more time, but its kernels round by the size of
their batch, and so no code depends on its neighbours in a single bit."""

ROUNDS = (4, 4)
"""Iterations of stage B: with the visibility of the first pose, then with that of the better one."""

REFINEMENTS = 6

PLAIN_SIGMA = (0.002, 0.002, 0.011)
"""Landmark errors in metres (x, y, depth) for a head without calibration; larger than each error, because the 478 errors
go together and weigh as the few dozen independent ones they amount to."""

LEAST_SIGMA = 3e-3
"""Floor in metres under the calibrated errors: the prior has seen the same landmarks, so they must not count twice in full."""

ROBUST = 4.0
LIGHT_SIGMA = 0.2
COLOUR_INFLATION, COLOUR_SIGMAS, COLOUR_ROBUST = 2.0, (0.02, 0.2), 0.12
"""Colour error expected while light, and then everything, is fitted. In the latter it is the error left by the light, times
an inflation because neighbouring errors go together."""

VISIBLE_FROM, VISIBLE_TO = -0.1, 0.25
HIDDEN_WEIGHT = 0.05
"""Landmarks whose normal turns from VISIBLE_TO to VISIBLE_FROM (cosine with the view) fade to this weight."""

HIDING_VIEW = 96
HIDING_SLACK = 0.004
"""Metres by which a place may lie behind the nearest surface and still count as seen."""


@dataclasses.dataclass(frozen=True)
class Fit:
    """code, and what it leaves open: ``landmark_error`` (B,) mean distance from the detected landmarks over the eye distance,
    ``colour_error`` (B,) robust root mean square error of skin colours, 0..1."""

    code: FaceCode
    landmark_error: Tensor
    colour_error: Tensor


def load_encoder(head: HeadModel, device: torch.device, options: EncoderOptions) -> FitEncoder:
    """FIT for ``head``: it needs no files but those of the package. UsageError for other landmarks than its own."""
    if options.landmarks != "mediapipe":
        raise UsageError(f"FIT needs the dense landmarks of mediapipe, which {options.landmarks} does not give; leave "
                         "--landmarks out.")
    return FitEncoder(head, device)


class FitEncoder:
    """Fits ``head`` to photographs. Deterministic; a face's code does not depend on what else is in its batch (on a GPU, but for
    rounding). ``read_brows`` False leaves the brows to landmarks and colours, ``tell_photographs`` False takes every face for a
    drawn one."""

    name = "FIT"

    def __init__(self, head: HeadModel, device: torch.device | str = "cpu", landmarker: FaceLandmarker | None = None,
                 read_brows: bool = True, tell_photographs: bool = True) -> None:
        self.device = torch.device(device)
        self.landmarker = landmarker or FaceLandmarker()
        tie = find_tie(head, self.landmarker)
        self.head: HeadModel = copy.deepcopy(head).to(self.device)
        model = build_landmark_model(self.head, tie.face.to(self.device), tie.barycentric.to(self.device),
                                     tie.reliability.to(self.device), N_SHAPE)
        learned = shipped_calibration(head, tie)
        self.learned = None if learned is None else learned.to(self.device)
        self.surface = (build_surface(self.head, model, *choose_places(self.head)) if self.learned is None
                        else photographed_surface(self.head, model, self.learned))
        # Double precision: the normal equations square the condition number of the problem.
        model = model.to(self.device, torch.float64)
        self.model: LandmarkModel = model if self.learned is None else calibrated(model, self.learned)
        self.sigma = model.mean.new_tensor(PLAIN_SIGMA).expand_as(model.mean)
        if self.learned is not None:
            self.sigma = self.learned.sigma.clamp_min(LEAST_SIGMA)
        # How reliable a landmark is says its calibrated error; without one, how well it was tied.
        self.reliability = model.reliability if self.learned is None else torch.ones_like(model.reliability)
        self.brows = (shipped_reader(self.learned.regression, head.expression_names, self.device)
                      if read_brows and self.learned is not None else None)
        self.photographs = (shipped_photographs(self.learned.regression, head.expression_names, self.device)
                            if tell_photographs and self.learned is not None else None)
        self.physical = torch.ones_like(self.model.lower)
        self.physical[len(model.basis):] = 0

    @torch.no_grad()
    def encode(self, images: Sequence[np.ndarray]) -> Capture:
        """uint8 (H, W, 3) RGB images of any sizes -> Capture, one row per image; the most central large face counts."""
        codes, found, notes = [], [], []
        together = 1 if self.device.type == "cpu" else BATCH
        for start in range(0, len(images), together):
            part = images[start:start + together]
            faces = [find_face(image, self.landmarker) for image in part]
            codes.append(self._codes(part, faces))
            found += [face is not None for face in faces]
        code = FaceCode.concatenate(codes) if codes else neutral_code(self.head, 0, torch.zeros((), device=self.device))
        for seen, trust in zip(found, code.confidence.tolist()):
            notes.append("No face was found." if not seen else
                         f"The fit is doubtful (confidence {trust:.2f})." if trust < FLAG_BELOW else "")
        return Capture(code, torch.tensor(found, dtype=torch.bool), notes)

    def _codes(self, images: Sequence[np.ndarray], faces: Sequence[Face | None]) -> FaceCode:
        frame = torch.tensor([[image.shape[1], image.shape[0]] for image in images], device=self.device).float()
        blank = neutral_code(self.head, len(images), torch.zeros((), device=self.device))
        blank = FaceCode(**{**blank.tensors(), "frame": frame, "crop": None, "confidence": frame.new_zeros(len(images)),
                            "head": blank.head})  # type: ignore[arg-type]
        rows = [i for i, face in enumerate(faces) if face is not None]
        if not rows:
            return blank
        fitted = self.fit([images[i] for i in rows], [face for face in faces if face is not None]).code
        places = torch.tensor(rows, device=self.device)
        return blank.replace(**{name: tensor.index_copy(0, places, getattr(fitted, name).to(tensor))
                                for name, tensor in blank.tensors().items()})

    def fit(self, images: Sequence[np.ndarray], faces: Sequence[Face]) -> Fit:
        """Fit faces whose landmarks are known (``faces`` in pixels of ``images``)."""
        points = self._stack([face.points for face in faces])
        points68, seen = self._stack([face.points68 for face in faces]), self._stack([face.coefficients for face in faces])
        points[..., :2] += 0.5  # Face counts from the centre of the first pixel, cameras from its edge.
        target, levelled = level(points)
        crop = crop_transform(points68 + 0.5)
        share = self.photographed(target, seen)
        pose, observation, prior = self.fit_landmarks(target, seen, self._strips(images, faces), share)
        start = landmark_posterior(self.model, pose, observation, prior, levelled, crop)
        pose, looks, colour_error = self.fit_colours(images, crop.float(), start, share)
        if self.photographs is not None:
            change = self.photographs.change(pose.coefficients[:, self.model.parts["expression"]], share)
            pose = with_identity_moved(self.model, start, pose, change)

        code = self._geometry(pose, crop.float(), images)
        # Error modes are no part of the head: what they explain counts as error too.
        bare = Pose(pose.rotation, pose.scale, pose.shift, pose.coefficients * self.physical)
        error = project_landmarks(self.model, bare)[..., :2] - points_in_crop(points, crop)
        eyes = (points[:, 468, :2] - points[:, 473, :2]).norm(dim=-1) * crop[:, 0, 0] / (CROP_SIZE / 2)
        presence = torch.tensor([face.presence for face in faces], device=self.device)
        landmark_error = (error.norm(dim=-1).mean(1) / eyes).float()
        trust = confidence(presence, landmark_error, colour_error)
        # Departures from the albedo model helped to see the light; a code cannot carry them.
        code = code.replace(light=looks.light, albedo=looks.albedo[:, :self.head.n_albedo], confidence=trust)
        return Fit(code, landmark_error, colour_error)

    def photographed(self, target: Tensor, seen: Tensor) -> Tensor:
        """(B,) 0..1, how likely each face was photographed rather than drawn; 0 for a head without calibration."""
        if self.learned is None or self.photographs is None:
            return target.new_zeros(len(target))
        return self.photographs.share(self.learned.regression, self.model, target, seen)

    def fit_landmarks(self, target: Tensor, seen: Tensor, strips: Tensor | None = None,
                      share: Tensor | None = None) -> tuple[Pose, Observation, Prior]:
        """Stages A and B for levelled landmarks (B, 478, 3), the landmarker's coefficients (B, 52), strips of the pictures for
        the reader of brows, where there is one, and how likely faces were photographed, (B,)."""
        weight = self.reliability.expand(len(target), -1)
        prior = (plain_prior(self.model, self.head.expression_names, seen) if self.learned is None
                 else learned_prior(self.model, self.learned, target, seen))
        if self.learned is not None and self.brows is not None and strips is not None:
            told = self.brows.read(self.learned.regression, self.model, strips, target, seen)
            first = self.model.parts["expression"].start
            prior = with_brows(prior, [first + column for column in self.brows.columns], *told)
        if self.learned is not None and share is not None:
            prior = as_photographed(prior, self.model.parts, share)
        pose = solid_pose(self.model, target, weight, torch.clamp(prior.mean, self.model.lower, self.model.upper))
        sigma = self.sigma * pose.scale[:, None, None]
        for iterations in ROUNDS:
            turned = (self.model.normals @ pose.rotation.transpose(1, 2))[..., 2]
            shown = ((turned - VISIBLE_FROM) / (VISIBLE_TO - VISIBLE_FROM)).clamp(HIDDEN_WEIGHT, 1)
            observation = Observation(target, sigma, weight * shown, ROBUST)
            pose = solve(self.model, pose, observation, prior, iterations)
        return pose, observation, prior

    def _strips(self, images: Sequence[np.ndarray], faces: Sequence[Face]) -> Tensor | None:
        if self.brows is None:
            return None
        strips = [brow_strip(image, face.points) for image, face in zip(images, faces) if face.points is not None]
        return torch.from_numpy(np.stack(strips))[:, None].float().to(self.device)

    def fit_colours(self, images: Sequence[np.ndarray], crop: Tensor, start: LandmarkPosterior,
                    share: Tensor | None = None) -> tuple[Pose, Appearance, Tensor]:
        """Stage C: light and skin under the landmark fit, then everything together, then light and skin once more.

        ``share`` (B,) says how likely faces were photographed. Returns pose, appearance and the colour error (B,).
        """
        view, prior = look(images, crop), light_prior(crop, self.learned)
        steady = self.steady_noise(crop)
        weight = self.visible(start.pose, crop)
        light, albedo, error = fit_light_and_albedo(self.skin_samples(start.pose, view, weight), prior, steady)
        # The better the head explains a face, the more its colours may move the geometry.
        sigma = (COLOUR_INFLATION * error).clamp(*COLOUR_SIGMAS)
        if share is not None:
            sigma = sigma * COLOUR_SPREAD ** share.to(sigma)
        noise = ColourNoise(sigma, steady.robust)
        pose, _ = refine(self.head, self.model, self.surface, view, weight, start, Appearance(light, albedo), prior, noise,
                         REFINEMENTS)
        # How light and skin share the brightness is told by their priors, which so many samples would drown.
        light, albedo, error = fit_light_and_albedo(self.skin_samples(pose, view, weight), prior, steady)
        return pose, Appearance(light, albedo), error

    def steady_noise(self, like: Tensor) -> ColourNoise:
        """The error of colours expected while light and skin alone are fitted, of B faces as there are rows in ``like``."""
        return ColourNoise(like.new_full((len(like),), LIGHT_SIGMA), like.new_full((len(like),), COLOUR_ROBUST))

    def skin_samples(self, pose: Pose, view: Tensor, weight: Tensor) -> SkinSamples:
        """The skin under ``pose`` (crop plane) in a ``view`` from ``look``, samples counting by ``weight`` (B, K)."""
        _, normals, plane = place_samples(self.head, self.model, self.surface, pose)
        colour, _, inside = sample_view(view, plane)
        return SkinSamples(colour, weight * inside, sh_basis(normals), self.surface.albedo.expand_as(colour),
                           self.surface.albedo_basis)

    def visible(self, pose: Pose, crop: Tensor) -> Tensor:
        """(B, K) 0..1: surface samples that face the viewer and that no other part of the head (nose, cheek) hides."""
        _, normals, plane = place_samples(self.head, self.model, self.surface, pose)
        code = self._geometry(pose, crop, ())
        code = code.replace(crop=whole_frame_crop(code.frame))
        fragments = rasterize_points(image_points(self.head.vertices(code), code), self.head.faces, HIDING_VIEW)
        pixel = ((plane * 0.5 + 0.5) * HIDING_VIEW).long().clamp(0, HIDING_VIEW - 1)
        nearest = fragments.depth.flatten(1).gather(1, pixel[..., 1] * HIDING_VIEW + pixel[..., 0])
        own, _ = samples_of(self.head, code, self.surface.face, self.surface.barycentric)
        depth = DEPTH_OFFSET - code.camera[:, :1] * own[..., 2]
        return facing(normals) * (depth < nearest + HIDING_SLACK * code.camera[:, :1])

    def _geometry(self, pose: Pose, crop: Tensor, images: Sequence[np.ndarray]) -> FaceCode:
        """The geometric fields of the code; without ``images`` the frame is left at the crop's size."""
        parts = self.model.parts
        code = neutral_code(self.head, len(crop), torch.zeros((), device=self.device))
        coefficients = pose.coefficients.float()
        code.shape[:, parts["shape"]] = coefficients[:, parts["shape"]]
        code.expression[:] = coefficients[:, parts["expression"]]
        code.eyes[:, list(EYE_COLUMNS)] = coefficients[:, parts["eyes"]]
        code.pose[:, :3] = matrix_to_axis_angle(pose.rotation).float()
        if parts["jaw"].stop > parts["jaw"].start:
            code.pose[:, 3:] = coefficients[:, parts["jaw"]]
        # The head turns about its root joint, the solver about the face: match where both put the surface.
        _, _, plane = place_samples(self.head, self.model, self.surface, pose)
        wanted = plane * plane.new_tensor([1.0, -1.0]) / pose.scale[:, None, None].float()
        placed, _ = samples_of(self.head, code, self.surface.face, self.surface.barycentric)
        code.camera[:, 0] = pose.scale.float()
        code.camera[:, 1:] = (wanted - placed[..., :2]).mean(1)
        if not images:
            return code
        frame = torch.tensor([[image.shape[1], image.shape[0]] for image in images], device=self.device).float()
        return code.replace(crop=crop, frame=frame)

    def _stack(self, arrays: Sequence[np.ndarray | None]) -> Tensor:
        return torch.from_numpy(np.stack([array for array in arrays if array is not None])).double().to(self.device)
