"""Faces in a picture: detector, 478 points, 52 coefficients. MediaPipe's Face Landmarker without MediaPipe."""

from __future__ import annotations

import threading
from dataclasses import replace
from itertools import islice

import numpy as np

from diffusionrig.faces.coefficients import coefficients
from diffusionrig.faces.detector import SIDE as VIEW
from diffusionrig.faces.detector import detect_once, overlap
from diffusionrig.faces.face import Face
from diffusionrig.faces.landmark_indices import POINTS_68
from diffusionrig.faces.mesh import Region, cut, points_in, region_of_box, region_of_points
from diffusionrig.faces.networks import COEFFICIENTS, DETECTOR, MESH, Network, bundle_member
from diffusionrig.faces.search import searches

MIN_PRESENCE = 0.5
MIN_SCORE = 0.7
SURE_SCORE = 0.88
UPRIGHT = np.deg2rad(55.0)
ASIDE, LARGER, TURNED = 0.04, 0.06, np.deg2rad(5.0)
"""How far, in sides of the region, by which factor (its logarithm) and angle a face may have moved to be read in one look."""
SAME_FACE = 0.4  # intersection over union of the boxes of two faces that are one


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
            made[name] = Network(bundle_member(name), self._threads)
        return made[name]

    def detect(self, image: np.ndarray, min_face: float = 40.0, thorough: bool = False, turned: bool = True) -> list[Face]:
        """All faces in an (H, W, 3) uint8 RGB picture, best (largest and surest) first; none gives an empty list.

        Faces of about ``min_face`` pixels (longer side of the landmarks' box) are looked for; smaller ones that turn
        up are returned too. In a picture with a large face, small ones are looked for only when ``thorough``. Where none
        stands upright, those that lie or hang are sought, unless ``turned`` is False: that takes three times as long.
        """
        best: list[Face] = []
        for turn, candidates in islice(searches(self._network(DETECTOR), image, min_face, thorough), None if turned else 1):
            faces = []
            for box, points in zip(candidates.boxes, candidates.points):
                face = self.landmarks(image, region_of_box(box, points[0], points[1]))
                if face is not None and face.score >= MIN_SCORE:
                    faces.append(face)
            # An upside-down face can pass, with its chin for a forehead, and of people on their sides some are missed:
            # only sure and mostly upright faces end the turning.
            faces = _distinct(faces)
            sure = any(face.score >= SURE_SCORE for face in faces)
            if sure and np.median([_tilt(face, turn) for face in faces]) < UPRIGHT:
                return faces
            best = max(best, faces, key=lambda some: sum(face.score for face in some))
        return best

    def landmarks(self, image: np.ndarray, region: Region | np.ndarray) -> Face | None:
        """The face in a known region: a Region, or a (4,) box x0, y0, x1, y1 around an upright face.

        None when the region holds no face. The points found first place a better region, in which they are found
        again; the face's score is the detector's opinion of it, levelled and at its favourite size.
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
        return Face(box, self._score(image, points), points[POINTS_68, :2], points,
                    coefficients(self._network(COEFFICIENTS), points), presence)

    def follow(self, image: np.ndarray, last: Face, check: bool = False) -> Face | None:
        """The face that was ``last`` in the frame before, sought where it was; None when it is not there any more.

        One look, and a second where the face moved so far that the first was askew. The detector's opinion is asked anew only
        with ``check``, else the score is the last one's.
        """
        assert last.points is not None
        network, region = self._network(MESH), region_of_points(last.points)
        points, presence = points_in(network, image, region)
        if presence >= MIN_PRESENCE and _askew(region, better := region_of_points(points)):
            points, presence = points_in(network, image, better)
        if presence < MIN_PRESENCE:
            return None
        score = self._score(image, points) if check else last.score
        box = np.concatenate([points[:, :2].min(axis=0), points[:, :2].max(axis=0)])
        return Face(box, score, points[POINTS_68, :2], points, coefficients(self._network(COEFFICIENTS), points), presence)

    def _score(self, image: np.ndarray, points: np.ndarray) -> float:
        # The mesh's own presence flag is near 1 on dogs, and on upside-down faces whose points are all wrong; a second
        # look with the detector, turned as the points say, tells these apart.
        region = region_of_points(points)
        view = cut(image, replace(region, side=region.side * 2.0), VIEW)
        found = detect_once(self._network(DETECTOR), view, 0.05)
        middle = overlap(np.array([VIEW / 3, VIEW / 3, VIEW * 2 / 3, VIEW * 2 / 3]), found.boxes) > 0.25
        return float(found.scores[middle].max(initial=0.0))


def _askew(used: Region, better: Region) -> bool:
    """Whether a region lies so far from the ``better`` one that points read from it suffer."""
    away = np.hypot(used.x - better.x, used.y - better.y) / better.side
    turn = abs((used.angle - better.angle + np.pi) % (2 * np.pi) - np.pi)
    return bool(away > ASIDE or abs(np.log(used.side / better.side)) > LARGER or turn > TURNED)


def _tilt(face: Face, turn: float) -> float:
    """How far the face is from upright, radians 0..pi, in the picture turned anticlockwise by ``turn``."""
    angle = region_of_points(face.points).angle - turn if face.points is not None else 0.0
    return abs((angle + np.pi) % (2 * np.pi) - np.pi)


def _distinct(faces: list[Face]) -> list[Face]:
    """Best first, each face once: two candidates may have led to the same one."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.score * face.size):
        if not kept or overlap(face.box, np.stack([other.box for other in kept])).max() < SAME_FACE:
            kept.append(face)
    return kept
