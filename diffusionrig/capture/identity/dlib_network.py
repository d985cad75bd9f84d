"""dlib's face recognition network (ResNet-29, public domain, 99.4 % on LFW), an extra; the landmarks are the shipped ones."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diffusionrig.capture.fit.finding import find_face
from diffusionrig.capture.identity.embedding import unit_rows
from diffusionrig.errors import UsageError
from diffusionrig.faces.landmarker import FaceLandmarker
from diffusionrig.io.files import existing_file

WEIGHTS = "dlib_face_recognition_resnet_model_v1.dat"


class DlibIdentity:
    """128 numbers a face. Cosines sit high: 0.91 is dlib's distance of 0.6 between descriptors of their usual length."""

    name, same = "dlib", 0.91

    def __init__(self) -> None:
        spec = importlib.util.find_spec("face_recognition_models")
        if importlib.util.find_spec("dlib") is None or spec is None or not spec.origin:
            raise UsageError('The identity embedding dlib needs: pip install "diffusionrig[dlib]"; or use fit, which ships.')
        import dlib

        self._dlib: Any = dlib
        self._landmarker = FaceLandmarker()
        weights = existing_file(Path(spec.origin).parent / "models" / WEIGHTS, "file of dlib weights")
        self._network = dlib.face_recognition_model_v1(str(weights))

    def embed(self, images: Sequence[np.ndarray]) -> Tensor:
        rows = np.zeros((len(images), 128))
        for i, image in enumerate(images):
            face = find_face(image, self._landmarker)
            if face is not None:
                box = self._dlib.rectangle(*(round(float(edge)) for edge in face.box))
                points = [self._dlib.point(round(float(x)), round(float(y))) for x, y in face.points68]
                shape = self._dlib.full_object_detection(box, points)
                rows[i] = self._network.compute_face_descriptor(np.ascontiguousarray(image), shape)
        return unit_rows(torch.from_numpy(rows))
