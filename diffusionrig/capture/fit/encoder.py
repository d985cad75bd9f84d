"""FIT: the encoder that needs no registered files. Landmarks, their 52 coefficients and photometry -> FaceCode."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from diffusionrig.capture.encoder import FLAG_BELOW, Capture
from diffusionrig.capture.fit.confidence import confidence
from diffusionrig.capture.fit.correspondence import find_tie, landmark_points
from diffusionrig.capture.fit.frames import crop_transform, level, pose_in_crop
from diffusionrig.capture.fit.landmark_model import EYE_COLUMNS, LandmarkModel, build_landmark_model, neutral_code
from diffusionrig.capture.fit.photometry import fit_light_and_albedo
from diffusionrig.capture.fit.priors import coefficient_prior, light_prior
from diffusionrig.capture.fit.projection import Pose, project_landmarks
from diffusionrig.capture.fit.rigid import solid_pose
from diffusionrig.capture.fit.skin import Skin
from diffusionrig.capture.fit.solver import Observation, solve
from diffusionrig.faces.face import Face
from diffusionrig.faces.landmarker import FaceLandmarker
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.rotations import matrix_to_axis_angle

N_SHAPE = 60
"""Identity coefficients that landmarks can tell; the others stay zero."""

BATCH = 16
SMALL = 256
"""Images whose longer side is below this are enlarged to it before landmarks are sought."""

POINT_SIGMA = 0.045
"""Expected landmark error in the levelled frame (unit: root mean square radius of the face, about 0.9 eye distances).
The 478 errors go together; this is larger than each of them so that all together weigh as the few dozen they amount to."""

DEPTH_SIGMA = 0.25
ROBUST = 3.0
COLOUR_SIGMA = 0.25
COLOUR_ROBUST = 0.6
VISIBLE_FROM, VISIBLE_TO = -0.1, 0.25
HIDDEN_WEIGHT = 0.05


class FitEncoder:
    """Fits ``head`` to photographs. Deterministic; a face's code does not depend on what else is in its batch."""

    name = "FIT"

    def __init__(self, head: HeadModel, device: torch.device | str = "cpu", landmarker: FaceLandmarker | None = None) -> None:
        import copy

        self.device = torch.device(device)
        self.landmarker = landmarker or FaceLandmarker()
        self.tie = find_tie(head, self.landmarker)
        self.head: HeadModel = copy.deepcopy(head).to(self.device)  # type: ignore[attr-defined]
        model = build_landmark_model(self.head, self.tie.face.to(self.device), self.tie.barycentric.to(self.device),
                                     self.tie.reliability.to(self.device), N_SHAPE)
        # Double precision: the normal equations square the condition number of the problem.
        self.model: LandmarkModel = model.to(self.device, torch.float64)
        self.skin = Skin(self.head)

    @torch.no_grad()
    def encode(self, images: Sequence[np.ndarray]) -> Capture:
        """uint8 (H, W, 3) RGB images of any sizes -> Capture, one row per image; the most central large face counts."""
        codes, found, notes = [], [], []
        for start in range(0, len(images), BATCH):
            part = images[start:start + BATCH]
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
        fitted = self.fit([images[i] for i in rows], [face for face in faces if face is not None])
        places = torch.tensor(rows, device=self.device)
        return blank.replace(**{name: tensor.index_copy(0, places, getattr(fitted, name).to(tensor))
                                for name, tensor in blank.tensors().items()})

    def fit(self, images: Sequence[np.ndarray], faces: Sequence[Face]) -> FaceCode:
        """Codes of faces whose landmarks are known (``faces`` in pixels of ``images``)."""
        points = self._stack([face.points for face in faces])
        points68, seen = self._stack([face.points68 for face in faces]), self._stack([face.coefficients for face in faces])
        points[..., :2] += 0.5  # Face counts from the centre of the first pixel, cameras from its edge.
        target, levelled = level(points)
        pose = self.fit_landmarks(target, seen)
        error = (project_landmarks(self.model, pose) - target)[..., :2].norm(dim=-1).mean(1)
        eyes = (target[:, 468, :2] - target[:, 473, :2]).norm(dim=-1)
        crop = crop_transform(points68 + 0.5)
        code = self._geometry(pose_in_crop(pose, levelled, crop), crop, images)
        light, albedo, colour_error = fit_light_and_albedo(self.skin.sample(code, images), light_prior(code.light),
                                                           COLOUR_SIGMA, COLOUR_ROBUST)
        presence = torch.tensor([face.presence for face in faces], device=self.device)
        return code.replace(light=light, albedo=albedo,
                            confidence=confidence(presence, (error / eyes).float(), colour_error))

    def fit_landmarks(self, target: Tensor, seen: Tensor) -> Pose:
        """Pose and coefficients for levelled landmarks (B, 478, 3) and the landmarker's coefficients (B, 52)."""
        prior = coefficient_prior(self.model, self.head.expression_names, seen)
        weight = self.model.reliability.expand(len(target), -1)
        pose = solid_pose(self.model, target, weight, torch.clamp(prior.mean, self.model.lower, self.model.upper))
        sigma = target.new_tensor([POINT_SIGMA, POINT_SIGMA, DEPTH_SIGMA]).expand(target.shape[1], 3)
        for iterations in (5, 7):
            facing = (self.model.normals @ pose.rotation.transpose(1, 2))[..., 2]
            shown = ((facing - VISIBLE_FROM) / (VISIBLE_TO - VISIBLE_FROM)).clamp(HIDDEN_WEIGHT, 1)
            pose = solve(self.model, pose, Observation(target, sigma, weight * shown, ROBUST), prior, iterations)
        return pose

    def _geometry(self, pose: Pose, crop: Tensor, images: Sequence[np.ndarray]) -> FaceCode:
        parts = self.model.parts
        code = neutral_code(self.head, len(crop), torch.zeros((), device=self.device))
        coefficients = pose.coefficients.float()
        code.shape[:, :parts["shape"].stop] = coefficients[:, parts["shape"]]
        code.expression[:] = coefficients[:, parts["expression"]]
        code.eyes[:, list(EYE_COLUMNS)] = coefficients[:, parts["eyes"]]
        code.pose[:, :3] = matrix_to_axis_angle(pose.rotation).float()
        if parts["jaw"].stop > parts["jaw"].start:
            code.pose[:, 3:] = coefficients[:, parts["jaw"]]
        # The head turns about its root joint, the solver about the landmarks: match the projections to get the shift.
        placed = landmark_points(self.tie, self.head, self.head.vertices(code))[..., :2]
        wanted = project_landmarks(self.model, pose)[..., :2].float() / pose.scale[:, None, None].float()
        code.camera[:, 0] = pose.scale.float()
        code.camera[:, 1:] = (wanted - placed).mean(1)
        frame = torch.tensor([[image.shape[1], image.shape[0]] for image in images], device=self.device).float()
        return code.replace(crop=crop.float(), frame=frame)

    def _stack(self, arrays: Sequence[np.ndarray | None]) -> Tensor:
        return torch.from_numpy(np.stack([array for array in arrays if array is not None])).double().to(self.device)


def find_face(image: np.ndarray, landmarker: FaceLandmarker) -> Face | None:
    """The face that an aligned picture is about: large and near the middle; None when there is none."""
    height, width = image.shape[:2]
    scale = max(1.0, SMALL / max(height, width))
    if scale > 1:
        enlarged = cv2.resize(image, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_CUBIC)
        ratio = np.array([enlarged.shape[1] / width, enlarged.shape[0] / height])
        faces = [_shrink(face, ratio) for face in landmarker.detect(enlarged)]
    else:
        faces = landmarker.detect(image)
    faces = [face for face in faces if face.points is not None]
    middle = np.array([width, height]) / 2
    def importance(face: Face) -> float:
        away = np.hypot(*((face.box[:2] + face.box[2:]) / 2 - middle)) / np.hypot(*middle)
        return face.size / max(width, height) - float(away)

    return max(faces, key=importance, default=None)


def _shrink(face: Face, ratio: np.ndarray) -> Face:
    import dataclasses

    def back(points: np.ndarray) -> np.ndarray:
        return ((points + 0.5) / ratio - 0.5).astype(np.float32)

    assert face.points is not None
    points = np.concatenate([back(face.points[:, :2]), face.points[:, 2:] / ratio.mean()], 1).astype(np.float32)
    return dataclasses.replace(face, box=back(face.box.reshape(2, 2)).reshape(4), points68=back(face.points68), points=points)
