"""dlib's frontal detector and 68-point predictor, as the published alignment uses them.

The predictor's weights were trained on data that exclude commercial use; hence an extra, never the default.
"""

from __future__ import annotations

import importlib.util
import math
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from diffusionrig.faces.face import Face
from diffusionrig.io.files import existing_file

WEIGHTS = "shape_predictor_68_face_landmarks.dat"
LONGEST, SHORT = 800, 600
MIN_MARGIN = 0.3


class DlibFinder:
    """68 points by dlib; no dense points and no coefficients. Each thread gets a detector of its own."""

    def __init__(self) -> None:
        import dlib

        self._dlib: Any = dlib
        self._local = threading.local()
        # Found without importing: older versions of the package fail at import on current Python.
        spec = importlib.util.find_spec("face_recognition_models")
        folder = Path(spec.origin).parent if spec is not None and spec.origin else Path()
        self._weights = str(existing_file(folder / "models" / WEIGHTS, "file of dlib weights"))

    def _tools(self) -> tuple[Any, Any]:
        if not hasattr(self._local, "tools"):
            self._local.tools = (self._dlib.get_frontal_face_detector(), self._dlib.shape_predictor(self._weights))
        return self._local.tools

    def detect(self, image: np.ndarray, min_face: float = 40.0, thorough: bool = False) -> list[Face]:
        """All frontal faces, best first. The detector needs about 80 pixels: the picture is brought to at most 800
        pixels (``thorough``: kept as it is), and doubled when it is small or nothing was found."""
        detector, predictor = self._tools()
        height, width = image.shape[:2]
        scale = 1.0 if thorough else min(1.0, LONGEST / max(height, width))
        small = image if scale == 1.0 else cv2.resize(image, (max(1, round(width * scale)), max(1, round(height * scale))),
                                                      interpolation=cv2.INTER_AREA)
        doubled = thorough or max(small.shape[:2]) < SHORT
        boxes, margins, _ = detector.run(small, 1 if doubled else 0, 0.0)
        if not len(boxes) and not doubled:
            boxes, margins, _ = detector.run(small, 1, 0.0)
        faces = []
        for box, margin in zip(boxes, margins):
            if margin < MIN_MARGIN:
                continue
            # dlib's rectangles include their last pixel.
            edges = np.array([box.left(), box.top(), box.right() + 1, box.bottom() + 1]) / scale
            where = self._dlib.rectangle(*(round(float(edge)) for edge in edges))
            points = np.array([(point.x, point.y) for point in predictor(image, where).parts()], np.float32)
            around = np.concatenate([points.min(axis=0), points.max(axis=0)])
            faces.append(Face(around, 1.0 / (1.0 + math.exp(-margin)), points))
        return sorted(faces, key=lambda face: -face.score * face.size)
