"""58 coefficients of a reaction -> face codes of the listener.

The coefficients are FaceVerse's (docs/reactions-frames.md): 52 ARKit expressions, rotation angles (a, b, c), translation t.
FaceVerse places a vertex v at Rz(c) Ry(b) Rx(a) v + t. Its model has y down and looks to -z, so that a is near pi for an upright
face: Rx(a) = Rx(a - pi) Rx(pi), and Rx(pi) takes the model to x towards the subject's left, y up, z out of the face, the frame of
the heads here. Its camera stands at z = 10 and looks along -z with x to the right and y up: nothing is mirrored, and
R = Rz(c) Ry(b) Rx(a - pi) can be used as it is. A positive b turns the nose to the right of the picture in both.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch
from torch import Tensor

from diffusionrig.errors import UsageError
from diffusionrig.geometry.arkit import ARKIT_NAMES
from diffusionrig.geometry.expression_map import expression_map
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from diffusionrig.reactions.interface import COEFFICIENTS

EXPRESSION, ANGLES, TRANSLATION = slice(0, 52), slice(52, 55), slice(55, 58)
NEUTRALS = ("mean", "percentile", "none")
RESTS = ("zero", "photo")

PERCENTILE = 5.0
"""Of each expression over the clip: what a face that hardly moves shows."""

CAMERA_DISTANCE = 10.0
"""Of FaceVerse's camera, in its units."""

UNIT = 0.1
"""Metres in a unit of FaceVerse: its faces are about 1.5 units wide."""

PIVOT = (0.0, 0.0, -0.08)
"""Metres, in the head's frame, from the FFHQ centre of the face to the point that FaceVerse's rotation leaves in place, which lies
within its head; where exactly, only its licensed file says."""

EYE_RANGE = math.radians(30.0)
"""Gaze at which an ``eyeLook`` weight is 1, as in the synthetic people that the shipped prior was trained on."""

_CLOSE, _OPEN = ARKIT_NAMES.index("mouthClose"), ARKIT_NAMES.index("jawOpen")


@dataclasses.dataclass(frozen=True)
class Neutral:
    """What the listener shows at rest, in the corpus's own space: a row (58,) float64, and the word of NEUTRALS it comes from."""

    kind: str
    row: np.ndarray


def neutral_of(kind: str, coefficients: np.ndarray, mean_face: np.ndarray | None) -> Neutral:
    """The neutral of ``coefficients`` (T, 58), absolute.

    mean        the corpus's mean face (58,)
    percentile  of each expression the 5th percentile over the clip; of angles and translation the median
    none        no expression, the head upright; translation as in ``mean`` where the mean face is known, else the median
    UsageError when ``mean`` is asked for without a mean face.
    """
    values = np.asarray(coefficients, np.float64).reshape(-1, COEFFICIENTS)
    if kind == "mean":
        if mean_face is None:
            raise UsageError("--neutral mean needs the corpus's mean face; give it with --mean_face or --data, or use --neutral "
                             "percentile.")
        return Neutral(kind, np.asarray(mean_face, np.float64))
    row = np.median(values, axis=0)
    if kind == "percentile":
        row[EXPRESSION] = np.percentile(values[:, EXPRESSION], PERCENTILE, axis=0)
        return Neutral(kind, row)
    if kind != "none":
        raise UsageError(f"--neutral {kind} does not exist; choose from {', '.join(NEUTRALS)}.")
    row[EXPRESSION], row[ANGLES] = 0.0, (math.pi, 0.0, 0.0)
    if mean_face is not None:
        row[TRANSLATION] = np.asarray(mean_face, np.float64)[TRANSLATION]
    return Neutral(kind, row)


def from_photograph(neutral: Neutral, row: np.ndarray, rest: str) -> Neutral:
    """``neutral`` for a listener whose photograph is a frame with known coefficients ``row`` (58,), absolute.

    Turn and place are then counted from those of the photograph, where the head starts, and so is the expression when it is
    added to the photographed one; otherwise what the photograph shows would be counted twice.
    """
    known = np.array(neutral.row)
    part = slice(0, COEFFICIENTS) if rest == "photo" else slice(ANGLES.start, COEFFICIENTS)
    known[part] = np.asarray(row, np.float64)[part]
    return Neutral(neutral.kind, known)


def faceverse_rotation(angles: Tensor) -> Tensor:
    """FaceVerse's angles (T, 3) -> rotation (T, 3, 3) of an upright head: Rz(c) Ry(b) Rx(a - pi)."""
    upright = angles - angles.new_tensor([math.pi, 0.0, 0.0])
    x, y, z = (axis_angle_to_matrix(torch.diag_embed(upright)[:, axis]) for axis in range(3))
    return z @ y @ x


def expression_weights(coefficients: Tensor, neutral: Tensor, rest: Tensor | float = 0.0) -> Tensor:
    """ARKit weights (T, 52) in 0..1: what coefficients (T, 58) show beyond ``neutral`` (58,), on top of ``rest``.

    ``mouthClose`` only shuts the lips of an open jaw, so it never exceeds ``jawOpen``.
    """
    weights = (coefficients[:, EXPRESSION] - neutral[EXPRESSION] + rest).clamp(0, 1)
    weights[:, _CLOSE] = torch.minimum(weights[:, _CLOSE], weights[:, _OPEN])
    return weights


def gaze(weights: Tensor) -> Tensor:
    """ARKit weights (T, 52) -> turn of both eyes (T, 6), axis-angle in radians, relative to the head."""
    def look(name: str, side: str) -> Tensor:
        return weights[:, ARKIT_NAMES.index(f"eyeLook{name}{side}")]

    turns = []
    for side, outward in (("Left", 1), ("Right", -1)):
        yaw = outward * (look("Out", side) - look("In", side))
        turns += [look("Down", side) - look("Up", side), yaw, torch.zeros_like(yaw)]
    return torch.stack(turns, 1) * EYE_RANGE


def reaction_codes(coefficients: np.ndarray, neutral: Neutral, listener: FaceCode, centre: Tensor, head: HeadModel,
                   rest: str = "zero") -> tuple[FaceCode, Tensor]:
    """Coefficients (T, 58), absolute, and a listener's code (batch 1) with its FFHQ ``centre`` (1, 3) in metres -> the listener
    moving, T faces, and where their centres are (T, 3).

    Rotation and translation are those beyond ``neutral``, applied to the listener as photographed. The expression replaces the
    photographed one (``rest`` zero) or adds to it (``photo``). Shape, albedo and light stay the listener's.
    """
    if rest not in RESTS:
        raise UsageError(f"--rest {rest} does not exist; choose from {', '.join(RESTS)}.")
    motion, still = torch.from_numpy(np.asarray(coefficients, np.float64)), torch.from_numpy(neutral.row)
    code = listener.to("cpu", torch.float64).repeat(len(motion))
    code, eyes = _expressed(code, motion, still, head, rest)
    turned = faceverse_rotation(motion[:, ANGLES]) @ faceverse_rotation(still[None, ANGLES]).transpose(1, 2)
    own = axis_angle_to_matrix(listener.pose[:1, :3].double().cpu())
    start = centre.double().cpu()
    pivot = start + (own @ torch.tensor(PIVOT, dtype=torch.float64))
    code = code.replace(pose=torch.cat([matrix_to_axis_angle(turned @ own), code.pose[:, 3:]], 1), eyes=eyes,
                        camera=_moved(code.camera, motion[:, TRANSLATION], still[TRANSLATION], pivot))
    moved = pivot + (turned @ (start - pivot)[..., None])[..., 0]
    return code.to(listener.pose.device, listener.pose.dtype), moved.to(centre)


def _expressed(code: FaceCode, motion: Tensor, still: Tensor, head: HeadModel, rest: str) -> tuple[FaceCode, Tensor]:
    """The code with its expression and jaw, and its eyes (T, 6)."""
    arkit = head.expression_names == ARKIT_NAMES
    photographed = code.expression if rest == "photo" and arkit else 0.0
    weights = expression_weights(motion, still, photographed)
    looks = gaze(expression_weights(motion, still))
    eyes = (code.eyes + looks).clamp(-EYE_RANGE, EYE_RANGE)
    if arkit:
        return code.replace(expression=weights), eyes
    expression, jaw = expression_map(head).apply(weights)
    if rest == "photo":
        expression, jaw = expression + code.expression, jaw + code.pose[:, 3:]
    return code.replace(expression=expression, pose=torch.cat([code.pose[:, :3], jaw], 1)), eyes


def _moved(camera: Tensor, translation: Tensor, still: Tensor, pivot: Tensor) -> Tensor:
    """The listener's camera (T, 3) after the head went from ``still`` (3,) to ``translation`` (T, 3), FaceVerse's units.

    FaceVerse sees a point (X, Y) of its pivot's plane at f (X, Y) / (10 - t_z): growth and shift in the picture are those of that
    camera, with the listener's own pivot (1, 3) in the place of FaceVerse's.
    """
    growth = (CAMERA_DISTANCE - still[2]) / (CAMERA_DISTANCE - translation[:, 2:]).clamp_min(1.0)
    shift = UNIT * (growth * translation[:, :2] - still[:2])
    place = (pivot[:, :2] + camera[:, 1:] + shift) / growth - pivot[:, :2]
    return torch.cat([camera[:, :1] * growth, place], 1)
