"""Face codes of frames -> the 58 coefficients of the REACT corpora: the inverse of ``reactions.frames.codes``.

FaceVerse (see there) sees a point (X, Y) of the plane t_z at f (X, Y) / (10 - t_z), f = 1315 / 112 half widths of its picture. What
it turns about is the pivot within the head. So, with s half widths a metre in the whole picture and p where the pivot is in it,
t_z = 10 - f / (s UNIT) and (t_x, t_y) = p / (s UNIT): a face that grows or moves in the picture does so in t.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor

from diffusionrig.capture.tracking.gaps import SEEN
from diffusionrig.capture.tracking.tracker import Tracker
from diffusionrig.errors import RigError
from diffusionrig.geometry.arkit import ARKIT_NAMES
from diffusionrig.geometry.camera import image_points
from diffusionrig.geometry.face_code import CROP_SIZE, FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.rotations import axis_angle_to_matrix
from diffusionrig.reactions.frames.codes import CAMERA_DISTANCE, EYE_RANGE, PIVOT, UNIT
from diffusionrig.reactions.frames.listener import head_centre

FOCAL = 1315.0 / 112.0
"""Of FaceVerse's camera, in half widths of the picture: 1315 pixels in one of 224."""


def faceverse_angles(rotation: Tensor) -> Tensor:
    """Rotations (T, 3, 3) = Rz(c) Ry(b) Rx(a - pi) -> angles (T, 3) = (a, b, c), a in 0..2 pi."""
    pitch = torch.atan2(rotation[:, 2, 1], rotation[:, 2, 2])
    yaw = torch.asin((-rotation[:, 2, 0]).clamp(-1, 1))
    roll = torch.atan2(rotation[:, 1, 0], rotation[:, 0, 0])
    return torch.stack([math.pi + pitch, yaw, roll], 1)


def translation(code: FaceCode, centre: Tensor) -> Tensor:
    """(T, 3) in FaceVerse's units, of faces with FFHQ ``centre`` (T, 3) in metres. The picture's shorter side is its width."""
    code, centre = code.to(dtype=torch.float64), centre.double()
    pivot = centre + (axis_angle_to_matrix(code.pose[:, :3]) @ centre.new_tensor(PIVOT))
    half = code.frame.min(1).values / 2
    place = image_points(pivot[:, None], code)[:, 0, :2] * code.frame / 2 / half[:, None] * centre.new_tensor([1.0, -1.0])
    enlarged = torch.linalg.det(code.crop[:, :2, :2]).sqrt()
    unit = UNIT * code.camera[:, 0] * (CROP_SIZE / 2) / enlarged / half
    return torch.cat([place / unit[:, None], (CAMERA_DISTANCE - FOCAL / unit)[:, None]], 1)


def expressions(code: FaceCode) -> Tensor:
    """(T, 52) ARKit weights; where the eyes look stands in ``eyeLook``, as the turn of each eye over EYE_RANGE."""
    weights = code.expression.double().clone()
    turns = code.eyes.double() / EYE_RANGE
    for side, start, outward in (("Left", 0, 1), ("Right", 3, -1)):
        down, out = turns[:, start], outward * turns[:, start + 1]
        for name, value in (("Down", down), ("Up", -down), ("Out", out), ("In", -out)):
            weights[:, ARKIT_NAMES.index(f"eyeLook{name}{side}")] = value.clamp(0, 1)
    return weights


def code_coefficients(code: FaceCode, head: HeadModel) -> np.ndarray:
    """Faces (T) of a head with ARKit expressions -> (T, 58) float64. RigError for another head."""
    if head.expression_names != ARKIT_NAMES:
        raise RigError(f"The head model {head.name} has no ARKit expressions, of which coefficients are made; capture with the "
                       "open head.")
    angles = faceverse_angles(axis_angle_to_matrix(code.pose[:, :3].double()))
    centre = head_centre(head, code.to(dtype=torch.float32))
    rows = torch.cat([expressions(code), angles, translation(code, centre)], 1)
    return rows.cpu().numpy()


def tracked_coefficients(tracker: Tracker, frames: Iterable[np.ndarray], count: int, fps: float, name: str, head: HeadModel,
                         on_frame: Callable[[int], None] = lambda number: None) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (T, 58) float64 of one person followed through ``frames``, and which of them (T,) show that person; arguments
    and NoFaceError as with ``Tracker.track``."""
    track = tracker.track(frames, count, fps, name, on_frame)
    return code_coefficients(track.code.to("cpu", torch.float64), head), track.state == SEEN


def fill_gaps(rows: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(T, D), of which the rows ``known`` (T,) count: the others go evenly from the last before to the first after them; at the
    ends the nearest stays. All NaN when none is known."""
    if not known.any():
        return np.full_like(rows, np.nan)
    numbers = np.arange(len(rows))
    places = numbers[known]
    return np.stack([np.interp(numbers, places, column[known]) for column in rows.T], 1)
