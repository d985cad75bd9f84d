"""2D-FAN 68 points by the package face-alignment, with weights that already lie on this machine."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np

from diffusionrig.errors import RigError
from diffusionrig.faces.face import Face

WEIGHTS = ("2DFAN4-11f355bf06.pth.tar", "s3fd-619a316812.pth")
SOURCE = "https://www.adrianbulat.com/downloads/python-fan/"


class FanFinder:
    """68 points by FAN; no dense points and no coefficients. Calls from several threads take turns."""

    def __init__(self) -> None:
        import torch

        folder = Path(torch.hub.get_dir()) / "checkpoints"
        # The package would fetch what is missing by itself, and hang where the network is silent.
        missing = [name for name in WEIGHTS if not (folder / name).is_file()]
        if missing:
            raise RigError(f"The face detector fan lacks {' and '.join(missing)} in {folder}; "
                           f"download from {SOURCE} into that folder.")
        import face_alignment

        self._lock = threading.Lock()
        self._fan = face_alignment.FaceAlignment(face_alignment.LandmarksType.TWO_D, device="cpu", flip_input=False,
                                                 compile=False)

    def detect(self, image: np.ndarray, min_face: float = 40.0, thorough: bool = False) -> list[Face]:
        """All faces, best first; the detector has no size or thoroughness of its own to set."""
        with self._lock:
            found = self._fan.get_landmarks_from_image(image, return_bboxes=True)
        faces = []
        for points, box in zip(found[0] or [], found[2] or []) if found is not None else ():
            spots = np.asarray(points, dtype=np.float32)[:, :2]
            around = np.concatenate([spots.min(axis=0), spots.max(axis=0)])
            faces.append(Face(around, float(np.clip(box[4], 0.0, 1.0)), spots))
        return sorted(faces, key=lambda face: -face.score * face.size)
