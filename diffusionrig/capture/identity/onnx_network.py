"""Face recognition networks of the user's own, as ONNX files run by OpenCV: ArcFace and its kin (Deng et al. 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from diffusionrig.capture.fit.finding import find_face
from diffusionrig.capture.identity.embedding import unit_rows
from diffusionrig.errors import RigError
from diffusionrig.faces.landmarker import FaceLandmarker
from diffusionrig.io.damage import short_reason
from diffusionrig.io.files import existing_file

SIDE = 112
PLACES = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]])
"""Where eyes, tip of the nose and corners of the mouth lie on the 112-pixel picture that these networks were trained on."""


class OnnxIdentity:
    """A network that takes (1, 3, 112, 112) RGB faces, cut out by five points as is usual, and gives one row.

    ``scaled``: pixels are brought to -1..1 first, as ArcFace wants; else the network gets 0..255, as SFace does.
    """

    same = 0.35
    """Usual for such networks; they differ, so ``--same`` overrules it."""

    def __init__(self, path: Path, scaled: bool = True) -> None:
        file = existing_file(path, "ONNX network")
        self.name = f"{'onnx' if scaled else 'onnx-raw'}:{file}"
        self._scaled = scaled
        self._landmarker = FaceLandmarker()
        try:
            self._network = cv2.dnn.readNetFromONNX(str(file))
        except cv2.error as error:
            raise RigError(f"{file} is not an ONNX network that OpenCV can run ({short_reason(error)}).") from error

    def embed(self, images: Sequence[np.ndarray]) -> Tensor:
        rows: list[np.ndarray | None] = []
        for image in images:
            face = find_face(image, self._landmarker)
            rows.append(None if face is None else self._row(cut_face(image, face.points68)))
        width = next((len(row) for row in rows if row is not None), 1)
        return unit_rows(torch.from_numpy(np.stack([np.zeros(width, np.float32) if row is None else row for row in rows])
                                          if rows else np.zeros((0, width), np.float32)))

    def _row(self, face: np.ndarray) -> np.ndarray:
        pixels = face.astype(np.float32).transpose(2, 0, 1)[None]
        self._network.setInput((pixels - 127.5) / 127.5 if self._scaled else pixels)
        try:
            return np.asarray(self._network.forward(), np.float32).reshape(-1)
        except cv2.error as error:
            raise RigError(f"{self.name} cannot be run on a face of {SIDE} x {SIDE} pixels ({short_reason(error)}).") from error


def cut_face(image: np.ndarray, points68: np.ndarray) -> np.ndarray:
    """(112, 112, 3) uint8: the face of ``image`` with its five points on PLACES, by the similarity of least squares."""
    points = np.asarray(points68, np.float64)
    five = np.stack([points[36:42].mean(0), points[42:48].mean(0), points[30], points[48], points[54]])
    # As complex numbers a similarity is z -> a z + b.
    here, there = five @ [1, 1j], PLACES @ [1, 1j]
    centred = here - here.mean()
    a = np.vdot(centred, there) / np.vdot(centred, centred).real
    b = there.mean() - a * here.mean()
    matrix = np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])
    return cv2.warpAffine(image, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
