"""The face in each frame, and the square cut around it."""

from __future__ import annotations

import math

import cv2
import numpy as np

from diffusionrig.faces.face import Face

MARGIN = 1.2
"""Side of the square over the longer side of the landmarks' box: brows to chin and a little more, as face detectors frame it."""


def face_square(face: Face) -> np.ndarray:
    """(4,) float32 x0, y0, x1, y1: the square about the middle of the landmarks, pixels, (0, 0) the centre of the first one."""
    middle = (face.box[:2] + face.box[2:]) / 2
    half = MARGIN * face.size / 2
    return np.concatenate([middle - half, middle + half]).astype(np.float32)


def cut_square(image: np.ndarray, square: np.ndarray, size: int) -> np.ndarray:
    """``square`` of an (H, W, 3) uint8 picture as (size, size, 3) uint8; beyond the picture its rim goes on.

    Unlike UniFR's, a square that reaches over the rim stays a square: nothing is stretched.
    """
    side = float(square[2] - square[0])
    finer = max(1, math.ceil(side / size))
    step = side / (size * finer)
    # Edge to edge: the middle of the first fine pixel lies half a step inside the square.
    matrix = np.array([[step, 0.0, square[0] + (step - 1) / 2 + 0.5], [0.0, step, square[1] + (step - 1) / 2 + 0.5]])
    fine = cv2.warpAffine(np.ascontiguousarray(image), matrix, (size * finer, size * finer),
                          flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE)
    return fine if finer == 1 else cv2.resize(fine, (size, size), interpolation=cv2.INTER_AREA)
