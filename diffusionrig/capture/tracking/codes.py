"""Fitted frames as series of numbers that can be smoothed, and these as face codes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from diffusionrig.capture.fit.confidence import confidence
from diffusionrig.capture.fit.encoder import FitEncoder
from diffusionrig.capture.fit.frames import crop_transform
from diffusionrig.capture.fit.landmark_model import EYE_COLUMNS, neutral_code, surface_points
from diffusionrig.capture.tracking.frame_fit import Moment
from diffusionrig.capture.tracking.person import Person
from diffusionrig.faces.face import Face
from diffusionrig.geometry.face_code import CROP_SIZE, FaceCode
from diffusionrig.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle

PLACE = 9
"""Columns before the coefficients: turn (3, axis-angle), logarithm of the scale, place of the head's centre (2) and of the crop's
(2), logarithm of the crop's side."""

HALF = CROP_SIZE / 2


def row_of(moment: Moment, face: Face, expression: slice, eyes: slice) -> np.ndarray:
    """(PLACE + C,) float64: what a frame shows, in pixels where it is a length."""
    rotation, scale, shift, coefficients = (field[0].cpu() for field in moment.pose.fields())
    crop = crop_transform(torch.from_numpy(face.points68)[None].double() + 0.5)[0]
    middle = (HALF - crop[:2, 2]) / crop[0, 0]
    place = torch.cat([matrix_to_axis_angle(rotation), (scale * HALF).log()[None], (shift + 1) * HALF, middle,
                       (CROP_SIZE / crop[0, 0]).log()[None]])
    # The order of the reduced model: expression, jaw, eyes.
    return torch.cat([place, coefficients[expression.start:eyes.stop]]).numpy()


def codes_of(encoder: FitEncoder, person: Person, rows: np.ndarray, frame: np.ndarray, light: Tensor,
             trust: Tensor, joint: Tensor | None = None) -> FaceCode:
    """Face codes (T), on the CPU, of ``rows`` (T, PLACE + C) seen in pictures of ``frame`` (T, 2) pixels under ``light`` (T, 9, 3).

    ``joint`` is the person's ``turning_point``, where it is known already.
    """
    head, model = encoder.head, encoder.model
    values = torch.from_numpy(np.asarray(rows, np.float64))
    count = len(values)
    code = neutral_code(head, count, torch.zeros((), device="cpu"))
    code.shape[:] = person.shape.cpu()
    code.albedo[:] = person.albedo.cpu()
    held = model.parts["shape"].stop
    parts = {name: slice(PLACE + part.start - held, PLACE + part.stop - held) for name, part in model.parts.items()}
    lower, upper = model.lower.cpu(), model.upper.cpu()

    def bounded(name: str) -> Tensor:
        return torch.clamp(values[:, parts[name]], lower[model.parts[name]], upper[model.parts[name]]).float()

    code.expression[:] = bounded("expression")
    code.eyes[:, list(EYE_COLUMNS)] = bounded("eyes")
    code.pose[:, :3] = values[:, :3].float()
    if parts["jaw"].stop > parts["jaw"].start:
        code.pose[:, 3:] = bounded("jaw")
    side = values[:, 8].exp()
    enlarged = CROP_SIZE / side
    crop = torch.zeros(count, 3, 3, dtype=torch.float64)
    crop[:, 0, 0] = crop[:, 1, 1] = enlarged
    crop[:, :2, 2] = HALF - enlarged[:, None] * values[:, 6:8]
    crop[:, 2, 2] = 1
    # Where the head's centre is in the crop's plane, y up, and how large a metre is there.
    scale = values[:, 3].exp() * enlarged / HALF
    # The picture's row of a place that is y up of PIXELS is CROP_SIZE less it.
    pixel = torch.stack([values[:, 4], CROP_SIZE - values[:, 5]], 1)
    spot = (enlarged[:, None] * pixel + crop[:, :2, 2]) / HALF - 1
    shift = spot * spot.new_tensor([1.0, -1.0]) / scale[:, None]
    rotation = axis_angle_to_matrix(values[:, :3])
    root = turning_point(encoder, person) if joint is None else joint
    arm = (rotation @ (root - model.centre.double().cpu()))[:, :2]
    code.camera[:, 0] = scale.float()
    code.camera[:, 1:] = (arm - root[:2] + shift).float()
    return code.replace(light=light.to(code.light), crop=crop.float(), frame=torch.from_numpy(frame).to(code.frame),
                        confidence=trust.to(code.confidence))


def turned_as_captured(person: Person, rows: np.ndarray, at: Sequence[int]) -> np.ndarray:
    """``rows`` (T, PLACE + C) of the frames ``at`` (T,), turned by what captures of whole pictures, colours included, say beyond
    landmarks."""
    places = {number: place for place, number in enumerate(at)}
    known = [(code, rows[places[number]]) for number, code in person.captured.items() if number in places]
    return turned_by(turn_as_captured([code for code, _ in known], [row for _, row in known]), rows)


def turn_as_captured(codes: Sequence[FaceCode], rows: Sequence[np.ndarray]) -> np.ndarray:
    """(3,) axis-angle: how far whole captures (K of batch 1) are turned otherwise than the ``rows`` (PLACE + C,) of the same
    frames, as far as they agree on it (James and Stein 1961); none below two."""
    if len(codes) < 2:
        return np.zeros(3)
    captured = torch.cat([axis_angle_to_matrix(code.pose[:, :3].double().cpu()) for code in codes])
    own = axis_angle_to_matrix(torch.from_numpy(np.stack([row[:3] for row in rows])))
    return agreed(matrix_to_axis_angle(captured @ own.transpose(1, 2)).numpy())


def turned_by(turn: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """``rows`` (T, PLACE + C) with their heads turned by ``turn`` (3,) besides."""
    if not turn.any():
        return rows
    whole = axis_angle_to_matrix(torch.from_numpy(turn)) @ axis_angle_to_matrix(torch.from_numpy(rows[:, :3]))
    return np.concatenate([matrix_to_axis_angle(whole).numpy(), rows[:, 3:]], 1)


def agreed(differences: np.ndarray) -> np.ndarray:
    """(D,): the mean of (K, D), each column shrunk by the share of its square that chance explains; K of two and more."""
    mean = differences.mean(0)
    chance = differences.var(0, ddof=1) / len(differences)
    return mean * np.clip(1 - chance / np.maximum(mean**2, 1e-12), 0, 1)


@torch.no_grad()
def turning_point(encoder: FitEncoder, person: Person) -> Tensor:
    """(3,) float64, metres: the joint that a head of this ``person`` turns about, from three turns of it."""
    head, surface = encoder.head, encoder.surface
    code = neutral_code(head, 4, torch.zeros((), device=encoder.device))
    code.shape[:] = person.shape.to(code.shape)
    code.pose[1:, :3] = torch.eye(3).to(code.pose) * 0.5
    middle = surface_points(head.vertices(code), head.faces, surface.face, surface.barycentric).mean(1).double().cpu()
    rotation = axis_angle_to_matrix(code.pose[:, :3].double().cpu())
    left = (torch.eye(3, dtype=torch.float64) - rotation[1:]).flatten(0, 1)
    right = (middle[1:] - (rotation[1:] @ middle[0])).flatten()
    return torch.linalg.lstsq(left, right).solution


def trust_of(faces: Sequence[Face], moments: Sequence[Moment], colour_error: Tensor) -> Tensor:
    """(N,) confidences 0..1 of fitted frames; colours count as they did in the captures that tell who it is."""
    presence = torch.tensor([face.presence for face in faces])
    error = torch.tensor([moment.error for moment in moments])
    return confidence(presence, error, colour_error.cpu().expand(len(faces)))
