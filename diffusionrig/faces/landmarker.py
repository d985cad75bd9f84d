"""Faces in a picture: detector, 478 points, 52 coefficients. MediaPipe's Face Landmarker without MediaPipe."""

from __future__ import annotations

import threading

import numpy as np

from diffusionrig.faces.coefficients import coefficients
from diffusionrig.faces.detector import detect_once
from diffusionrig.faces.face import Face
from diffusionrig.faces.landmark_indices import POINTS_68
from diffusionrig.faces.mesh import Region, points_in, region_of_box, region_of_points
from diffusionrig.faces.networks import COEFFICIENTS, DETECTOR, MESH, Network

MIN_PRESENCE = 0.5


class FaceLandmarker:
    """Finds faces and their landmarks. One object may be used from any number of threads: each gets networks of its
    own. ``threads`` is how many cores one picture may use; more pictures per second come from one picture per thread.

    The same picture gives the same result whatever was seen before it.
    """

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads
        self._local = threading.local()

    def _network(self, name: str) -> Network:
        made: dict[str, Network] = self._local.__dict__.setdefault("networks", {})
        if name not in made:
            made[name] = Network(name, self._threads)
        return made[name]

    def detect(self, image: np.ndarray) -> list[Face]:
        """All faces in an (H, W, 3) uint8 RGB picture, best first."""
        found = detect_once(self._network(DETECTOR), image)
        faces = []
        for score, box, points in zip(found.scores, found.boxes, found.points):
            face = self.landmarks(image, region_of_box(box, points[0], points[1]), float(score))
            if face is not None:
                faces.append(face)
        return faces

    def landmarks(self, image: np.ndarray, region: Region | np.ndarray, score: float = 1.0) -> Face | None:
        """The face in a known region: a Region, or a (4,) box x0, y0, x1, y1 around an upright face.

        None when the region holds no face. The points found first place a better region, in which they are found
        again: that halves their scatter under small moves of the region.
        """
        if not isinstance(region, Region):
            box = np.asarray(region, dtype=np.float64)
            region = region_of_box(box, np.zeros(2), np.array([1.0, 0.0]))
        network = self._network(MESH)
        points, presence = points_in(network, image, region)
        if presence < MIN_PRESENCE:
            return None
        points, presence = points_in(network, image, region_of_points(points))
        if presence < MIN_PRESENCE:
            return None
        box = np.concatenate([points[:, :2].min(axis=0), points[:, :2].max(axis=0)])
        return Face(box, score, points[POINTS_68, :2], points, coefficients(self._network(COEFFICIENTS), points),
                    presence)
