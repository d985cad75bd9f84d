"""BlazeFace short range (Bazarevsky et al. 2019): face boxes with six points, on one square view of a picture."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np

from diffusionrig.faces.networks import Network

SIDE = 128
MIN_SCORE = 0.5
OVERLAP = 0.3


@dataclass(frozen=True)
class Detections:
    """N candidate faces, pixel coordinates with (0, 0) at the centre of the top left pixel.

    scores (N,) in 0..1; boxes (N, 4) x0, y0, x1, y1; points (N, 6, 2): the subject's right eye, left eye, nose,
    mouth, right ear, left ear. All float32.
    """

    scores: np.ndarray
    boxes: np.ndarray
    points: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, index: np.ndarray) -> Detections:
        return Detections(self.scores[index], self.boxes[index], self.points[index])

    def affine(self, matrix: np.ndarray) -> Detections:
        """Moved by a (2, 3) similarity; boxes stay upright, around the moved centre and with the scaled size."""
        scale = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
        centre = (self.boxes[:, :2] + self.boxes[:, 2:]) / 2 @ matrix[:, :2].T + matrix[:, 2]
        half = (self.boxes[:, 2:] - self.boxes[:, :2]) / 2 * scale
        boxes = np.concatenate([centre - half, centre + half], axis=1).astype(np.float32)
        return Detections(self.scores, boxes, (self.points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32))


def join(parts: list[Detections]) -> Detections:
    """Concatenate; an empty list gives no detections."""
    if not parts:
        return Detections(np.zeros(0, np.float32), np.zeros((0, 4), np.float32), np.zeros((0, 6, 2), np.float32))
    return Detections(*(np.concatenate([getattr(part, name) for part in parts])
                        for name in ("scores", "boxes", "points")))


@functools.cache
def anchors() -> np.ndarray:
    """(896, 2) centres in 0..1: a 16 x 16 grid with 2 each, then 8 x 8 with 6 each; x runs fastest."""
    rows = []
    for cells, copies in ((16, 2), (8, 6)):
        steps = (np.arange(cells) + 0.5) / cells
        y, x = np.meshgrid(steps, steps, indexing="ij")
        rows.append(np.repeat(np.stack([x, y], axis=-1).reshape(-1, 2), copies, axis=0))
    return np.concatenate(rows).astype(np.float32)


def letterbox(image: np.ndarray) -> tuple[np.ndarray, float, float, float]:
    """The picture shrunk or enlarged into the middle of a black 128-pixel square.

    Returns (128, 128, 3) uint8, the scale, and the left and top margin in pixels of the square.
    """
    height, width = image.shape[:2]
    scale = SIDE / max(height, width)
    wide, high = max(1, round(width * scale)), max(1, round(height * scale))
    # Area averaging: reading single pixels of a large photograph turns texture into noise.
    small = cv2.resize(image, (wide, high), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left, top = (SIDE - wide) // 2, (SIDE - high) // 2
    square = np.zeros((SIDE, SIDE, 3), np.uint8)
    square[top:top + high, left:left + wide] = small
    return square, scale, float(left), float(top)


def detect_once(network: Network, image: np.ndarray, min_score: float = MIN_SCORE) -> Detections:
    """Faces in one view (H, W, 3) uint8, in its own pixels; candidates of one face are already merged."""
    square, scale, left, top = letterbox(image)
    values, logits = network((square.astype(np.float32) / 127.5 - 1.0)[None])
    logits = np.clip(logits[0, :, 0], -80.0, 80.0)
    keep = np.flatnonzero(logits > np.log(min_score / (1.0 - min_score)))
    # 16 values per anchor, in pixels of the square: centre (added to the anchor), size, then six points (added too).
    pairs = values[0, keep].reshape(-1, 8, 2)
    origin = anchors()[keep, None] * SIDE
    centre, half, points = pairs[:, 0] + origin[:, 0], pairs[:, 1] / 2, pairs[:, 2:] + origin
    margin = np.array([left, top], np.float32)

    def out(places: np.ndarray) -> np.ndarray:
        return ((places - margin) / scale - 0.5).astype(np.float32)

    scores = (1.0 / (1.0 + np.exp(-logits[keep]))).astype(np.float32)
    boxes = np.concatenate([out(centre - half), out(centre + half)], axis=1)
    return merge(Detections(scores, boxes, out(points)))


def overlap(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union of one (4,) box with (N, 4) boxes."""
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    shared = np.prod(np.clip(high - low, 0.0, None), axis=1)
    areas = np.prod(np.clip(boxes[:, 2:] - boxes[:, :2], 0.0, None), axis=1)
    return shared / np.maximum(areas + np.prod(np.clip(box[2:] - box[:2], 0.0, None)) - shared, 1e-9)


def merge(found: Detections, share: float = OVERLAP) -> Detections:
    """Weighted non-maximum suppression: candidates overlapping the best by more than ``share`` become their
    score-weighted mean, under the best's score. Best first."""
    # A stable order makes equal scores (common at saturation) come out the same way every time.
    order = np.argsort(-found.scores, kind="stable")
    kept = []
    while len(order):
        best = order[0]
        same = overlap(found.boxes[best], found.boxes[order]) > share
        same[0] = True
        group = order[same]
        weight = found.scores[group] / found.scores[group].sum()
        kept.append(Detections(found.scores[best][None], (weight @ found.boxes[group])[None],
                               np.tensordot(weight, found.points[group], axes=1)[None]))
        order = order[~same]
    return join(kept)
